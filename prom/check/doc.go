// Package check tests the dashboard and the alerts of package prom with the
// parser and the engine of Prometheus. They are a module of their own, so that
// nobody who imports prom gets them.
package check
