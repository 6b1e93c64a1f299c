// Package e2e proves the guarantees of the README through the public API and on
// the real protocol, against the embedded cluster of kafkatest. It has tests
// only.
//
// Each test drives numbered messages through a producer while the cluster
// misbehaves, keeps the history of what was accepted and reported, and lets a
// judge compare that with what is stored. The judge is pure code with tests of
// its own.
package e2e
