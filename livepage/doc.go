// Package livepage shows in a browser what producers do right now: their state,
// throughput, latencies, buffer, errors and topics. It is an [http.Handler] in
// the habit of net/http/pprof and expvar, for the port that operators use:
//
//	page := livepage.New()
//	page.Add("orders", p)
//	mux.Handle("/debug/producer/", page)
//
// It only reads. It shows names of topics and settings, but no secret and
// nothing of a message; all the same it is not for the public. Nothing is
// registered in [http.DefaultServeMux].
//
// # Routes
//
// The last element of the path decides, so that it works below any prefix, with
// and without [http.StripPrefix]:
//
//	…/         the page; …/ without its slash leads there
//	…/json     the figures of all producers, once
//	…/events   the same as server-sent events, about one every second
//
// For a terminal: curl -N host:port/debug/producer/events
//
// # Cost
//
// While nobody watches nothing runs and nothing is read. Those that watch share
// one reading of each producer a second. There are 32 of them at most; the next
// get status 503 and Retry-After. One that does not read is cut off after 10 s
// and delays no other.
//
// # Shutdown
//
// [http.Server.Shutdown] waits for connections that are in use, and a page that
// is open has one. Have it told:
//
//	server.RegisterOnShutdown(page.Close)
//
// Without that a stream ends by itself after 5 minutes, and the browser opens the
// next one.
//
// # JSON
//
// The names of fields are stable, and their units are in them; more fields may
// come. The object has time, when the figures were read, and producers, sorted
// by name, each with
//
//	name                        what Add was given
//	status                      healthy, attention, bad or closed
//	reasons                     why, as texts for people; [] if healthy
//	state                       running, closing or closed
//	stalled, stalls             as in producer.Stats, like all of these:
//	accepted, delivered, failed, in_flight, rejected, late, held, buffered,
//	buffered_bytes, waiting, callback_panics, slow_callbacks, callbacks_running
//	oldest_in_flight_seconds    0: nothing is in flight
//	max_buffered                the limit of buffered
//	max_buffered_bytes          the limit of buffered_bytes
//	slow_callback               the function that was slow last; "": none
//	started, uptime_seconds     when the producer was made, and how long ago
//	last_outcome                when a broker last decided messages; null: not yet
//	since_last_outcome_seconds  how long ago that is; null: not yet
//	failures, rejections        failed and rejected, by producer.ErrorKind
//	latency                     of all messages that were delivered
//	last_second                 what happened in the last second or so, and
//	last_10_seconds             in the last ten; both null unless somebody watches,
//	                            and in the first event
//	topics                      at most 200, those with most in flight first, then
//	                            those with most delivered
//	more_topics                 the sum of those that are left out; null: none is
//	other_topics                the sum of those that the cluster does not know
//	settings                    name and value of each option
//
// A latency has count, sum_seconds, and p50_seconds, p95_seconds, p99_seconds and
// max_seconds, each the upper bound of its bucket. They are null if count is 0,
// and where it is more than 1,000 s.
//
// The last second and the last ten have seconds, the time between the two
// readings that they are the difference of (less than ten at the beginning),
// accepted_per_second, delivered_per_second, failed_per_second,
// rejected_per_second, and latency.
//
// A topic has topic, accepted, delivered, failed, in_flight, failures, and
// delivered_per_second of the last ten seconds, or null. more_topics has count
// instead of topic, and other_topics has neither.
//
// # Status
//
// A producer is bad while it is stalled, or if at least half of the messages that
// were decided in the last 10 s have failed. It needs attention while it closes,
// if sends wait for room, the buffer is 80 % full or a message is in flight for
// 10 s, and if in the last 10 s a message failed, a send was rejected, a
// callback panicked or was reported as slow, a message was delivered after it
// had been reported as failed, or the producer was stalled. One that is closed,
// and of which none of that is true, is closed; all others are healthy.
package livepage
