package service

import (
	"time"

	"pluginsupervisor/internal/yamlfile"
)

// Key is one key of service.yaml.
type Key struct {
	Name string // with dots between sections
	Help string // one sentence
	Kind yamlfile.Kind
	// Field returns a pointer to the value: to a []string for Words, to a
	// map[string]string for Variables, else to the type of the kind.
	Field func(*Service) any
}

// The kinds of limits and logs, which the configuration of a host uses too.
var (
	CPULimit    = yamlfile.Real{Min: 0.01, Max: 4096}
	MemoryLimit = yamlfile.SizeRange{Min: yamlfile.MiB, Max: 1024 * yamlfile.TiB}
	PIDLimit    = yamlfile.Whole{Min: 1, Max: 1_000_000}
	LogSize     = yamlfile.SizeRange{Min: 4 * yamlfile.KiB, Max: yamlfile.TiB}
	LogKeep     = yamlfile.Whole{Min: 0, Max: 1000}
)

var (
	waitKind  = yamlfile.Span{Min: 0, Max: MaxTimeout}
	checkKind = yamlfile.Span{Min: 10 * time.Millisecond, Max: time.Minute}
)

// Keys returns the table of keys, in the order of the file.
func Keys() []Key {
	return []Key{
		{"command", "The program and its arguments. There is no shell.", Words{}, func(s *Service) any { return &s.Command }},
		{"environment", "Variables for the program, added to those of the caller, PLUGIN_DIR and PRE_PLUGIN_DIR.", Variables{}, func(s *Service) any { return &s.Environment }},
		{"user", "User that the program runs as (default: the caller). Needs root.", accountKind, func(s *Service) any { return &s.User }},
		{"group", "Group that the program runs as (default: that of the user). Needs root.", accountKind, func(s *Service) any { return &s.Group }},
		{"working_dir", "Working directory, relative to the package folder.", folderKind, func(s *Service) any { return &s.WorkingDir }},
		{"stop.signal", "Signal that asks the program to exit.", signalKind{}, func(s *Service) any { return &s.Stop.Signal }},
		{"stop.timeout", "Time to exit before the program is killed.", waitKind, func(s *Service) any { return &s.Stop.Timeout }},
		{"ready.http", "The program is ready when this URL answers 200 to 299.", urlKind, func(s *Service) any { return &s.Ready.HTTP }},
		{"ready.tcp", "The program is ready when this address accepts a connection.", addressKind, func(s *Service) any { return &s.Ready.TCP }},
		{"ready.command", "The program is ready when this command exits 0.", Words{}, func(s *Service) any { return &s.Ready.Command }},
		{"ready.after", "Without another check, the program is ready after it has run for this time.", waitKind, func(s *Service) any { return &s.Ready.After }},
		{"ready.timeout", "Time to become ready; after that the start fails.", waitKind, func(s *Service) any { return &s.Ready.Timeout }},
		{"health.http", "The program is healthy while this URL answers 200 to 299.", urlKind, func(s *Service) any { return &s.Health.HTTP }},
		{"health.tcp", "The program is healthy while this address accepts a connection.", addressKind, func(s *Service) any { return &s.Health.TCP }},
		{"health.command", "The program is healthy while this command exits 0.", Words{}, func(s *Service) any { return &s.Health.Command }},
		{"health.interval", "Time between two health checks by the supervisor.", yamlfile.Span{Min: 100 * time.Millisecond, Max: 24 * time.Hour}, func(s *Service) any { return &s.Health.Interval }},
		{"health.timeout", "Timeout of one check.", checkKind, func(s *Service) any { return &s.Health.Timeout }},
		{"health.failures", "Number of failed checks in a row that make the program unhealthy.", yamlfile.Whole{Min: 1, Max: 100}, func(s *Service) any { return &s.Health.Failures }},
		{"hooks.install", "Command of `--install`, run as the caller.", Words{}, func(s *Service) any { return &s.Hooks.Install }},
		{"hooks.uninstall", "Command of `--uninstall`; exit status other than 0 prevents the removal.", Words{}, func(s *Service) any { return &s.Hooks.Uninstall }},
		{"hooks.upgrade", "Command of `--upgrade`.", Words{}, func(s *Service) any { return &s.Hooks.Upgrade }},
		{"limits.cpu", "CPU time, in cores; the configuration of the host takes precedence.", CPULimit, func(s *Service) any { return &s.Limits.CPU }},
		{"limits.memory", "Memory; the configuration of the host takes precedence.", MemoryLimit, func(s *Service) any { return &s.Limits.Memory }},
		{"limits.pids", "Number of processes and threads; the configuration of the host takes precedence.", PIDLimit, func(s *Service) any { return &s.Limits.PIDs }},
		{"log.max_size", "Size of one part of the log; when the log is full, the oldest part is removed.", LogSize, func(s *Service) any { return &s.Log.MaxSize }},
		{"log.keep", "Number of older parts that are kept: the log has at most log.max_size × (log.keep + 1).", LogKeep, func(s *Service) any { return &s.Log.Keep }},
	}
}
