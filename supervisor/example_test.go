package supervisor_test

import (
	"context"
	"fmt"
	"os"

	"pluginsupervisor/plugin"
	"pluginsupervisor/supervisor"
)

func Example() {
	root, err := os.MkdirTemp("", "sv")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(root)
	s, err := supervisor.New(
		supervisor.WithRoot(root),
		supervisor.WithControlPlane("http://127.0.0.1:1"), // it need not be reachable
		supervisor.WithSetting("intervals.scan", "1m"),
		supervisor.WithUpdateHandler(func(_ context.Context, u plugin.AssignedUpdate) bool {
			return u.Name == "mine" // this program updates that plugin itself
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	select {
	case <-s.Started():
	case err := <-result:
		fmt.Println(err)
	}
	status, err := s.Status(ctx)
	fmt.Println(len(status.Plugins), "plugins", err)
	stop()
	fmt.Println("stopped:", <-result)
	// Output:
	// 0 plugins <nil>
	// stopped: <nil>
}
