// Package bench compares Kafka producers: the same messages at the same
// settings, in turns, against a cluster that only acknowledges or against Apache
// Kafka. A run of all of it is a [Report], which can be written as tables, JSON
// and charts.
package bench
