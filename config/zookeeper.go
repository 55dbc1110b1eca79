package config

import (
	"errors"
	"net"
	"strings"
)

// parseConnect splits zookeeper.connect into servers, each host:port, and the chroot, empty or beginning with a slash
// (ZooKeeper 3.8 ConnectStringParser, PathUtils).
func parseConnect(s string) (servers []string, chroot string, err error) {
	hosts, path, found := strings.Cut(s, "/")
	if found && path != "" {
		chroot = "/" + path
		for _, part := range strings.Split(path, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool { return r < ' ' }) {
				return nil, "", errors.New("the chroot " + chroot + " is not a path")
			}
		}
	}
	for _, h := range csvList(hosts) {
		server, err := withPort(javaTrim(h))
		if err != nil {
			return nil, "", err
		}
		servers = append(servers, server)
	}
	if len(servers) == 0 {
		return nil, "", errors.New("it names no server; leave it out to run the embedded coordination server")
	}
	return servers, chroot, nil
}

// withPort is h with port 2181 unless it has one.
func withPort(h string) (string, error) {
	const defaultPort = "2181"
	host, port, err := net.SplitHostPort(h)
	if err != nil {
		// No port, or an IPv6 address with or without brackets.
		host, port = strings.TrimSuffix(strings.TrimPrefix(h, "["), "]"), defaultPort
	}
	if n, err := parseInt(port, 32); err != nil || n < 1 || n > 65535 {
		return "", errors.New("'" + h + "' has no valid port")
	}
	if host == "" || !validHost.MatchString(host) {
		return "", errors.New("'" + h + "' has no valid host")
	}
	return net.JoinHostPort(host, port), nil
}
