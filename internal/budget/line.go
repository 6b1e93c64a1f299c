package budget

// join puts a new waiter at the end of the line.
func (b *Budget) join(bytes int64) *waiter {
	w, ok := b.spare.Get().(*waiter)
	if !ok {
		w = &waiter{granted: make(chan struct{}, 1)}
	}
	w.bytes = bytes
	b.mu.Lock()
	w.inLine, w.prev = true, b.last
	if b.last == nil {
		b.first = w
	} else {
		b.last.next = w
	}
	b.last = w
	b.waiting.Add(1)
	// Room that came back since TryAcquire failed was released by someone who
	// saw nobody waiting: only now is it certain that the next one will look.
	// Behind others there is nothing to look for: they did, and do not fit.
	var granted *waiter
	if b.first == w {
		granted = b.grant()
	}
	b.mu.Unlock()
	wake(granted)
	return w
}

// leave takes w out of the line. It returns false if it was granted before, or
// is now: room that is kept back for a lot is there, and a grant wins over an end.
func (b *Budget) leave(w *waiter) bool {
	b.mu.Lock()
	before := b.grant()
	if !w.inLine {
		b.mu.Unlock()
		wake(before)
		return false
	}
	if w.prev == nil {
		b.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		b.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.inLine, w.prev, w.next = false, nil, nil
	b.waiting.Add(-1)
	// A large one that gives up at the head may have held up small ones for
	// which there is room: no release would come for them.
	behind := b.grant()
	b.mu.Unlock()
	wake(before)
	wake(behind)
	return true
}

// grant reserves room for as many as fit, from the head of the line, and takes
// them out of it. It returns them as a list, to be woken without the mutex.
// Called with mu held.
func (b *Budget) grant() *waiter {
	head, w := b.first, b.first
	n := int64(0)
	for ; w != nil; w = w.next {
		// One that does not fit stops the line, also for smaller ones behind
		// it, or it might wait for ever. An undone reservation needs no
		// released: those whom it could have disturbed are in this line, or
		// about to join it and to look for themselves.
		if ok, _ := b.reserve(w.bytes, b.maxMessages, b.maxBytes); !ok {
			break
		}
		w.inLine = false
		n++
	}
	if n == 0 {
		return nil
	}
	if w == nil {
		b.last = nil
	} else {
		w.prev.next, w.prev = nil, nil
	}
	b.first = w
	// Lowered after the rooms were taken, so that nobody could overtake.
	b.waiting.Add(-n)
	return head
}

// wake sends their tokens to a list of granted waiters. It never blocks: each
// has room for the one token that it gets. Called without mu.
func wake(w *waiter) {
	for w != nil {
		next := w.next
		w.prev, w.next = nil, nil
		w.granted <- struct{}{} // from here on w may be in use again
		w = next
	}
}
