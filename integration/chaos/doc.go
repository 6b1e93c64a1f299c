// Package chaos sends numbered messages to Apache Kafka while it is killed,
// frozen, restarted and moved about, reads back what is stored with another
// client, and judges every word that the producer said. It drives this library
// and its peers in the same way.
package chaos
