package producertest

// flaw is a way in which a memory breaks the contract.
type flaw string

const (
	none flaw = ""

	ignoresTheCtx               flaw = "ignores the ctx"
	hidesTheCause               flaw = "hides the cause"
	tellsOfRefused              flaw = "tells of refused"
	panicsWithoutACtx           flaw = "panics without a ctx"
	takesAnyMessage             flaw = "takes any message"
	hidesTheEncodersError       flaw = "hides the encoders error"
	quotesTheEncodersError      flaw = "quotes the encoders error"
	blamesTheDelivery           flaw = "blames the delivery"
	hasNoSizeLimit              flaw = "has no size limit"
	looksAtTheMessageFirst      flaw = "looks at the message first"
	looksAtCloseFirst           flaw = "looks at close first"
	panicsAfterClose            flaw = "panics after close"
	acceptsAfterClose           flaw = "accepts after close"
	writesToTheMessage          flaw = "writes to the message"
	addsAHeader                 flaw = "adds a header"
	borrowsBytes                flaw = "borrows bytes"
	remembersPointers           flaw = "remembers pointers"
	tiesMessagesToTheirCtx      flaw = "ties messages to their ctx"
	fillsInNothing              flaw = "fills in nothing"
	losesOutcomes               flaw = "loses outcomes"
	reportsTwice                flaw = "reports twice"
	changesMetadata             flaw = "changes metadata"
	storesTwice                 flaw = "stores twice"
	reusesMessages              flaw = "reuses messages"
	storesNothing               flaw = "stores nothing"
	misplaces                   flaw = "misplaces"
	dropsHeaders                flaw = "drops headers"
	stampsLate                  flaw = "stamps late"
	emptiesNull                 flaw = "empties null"
	reorders                    flaw = "reorders"
	reordersCallbacks           flaw = "reorders callbacks"
	passesTheCtxOn              flaw = "passes the ctx on"
	forgetsTheCtx               flaw = "forgets the ctx"
	deadlocksInCallbacks        flaw = "deadlocks in callbacks"
	flushWaitsInCallbacks       flaw = "flush waits in callbacks"
	closeWaitsInCallbacks       flaw = "close waits in callbacks"
	closeInCallbacksDoesNothing flaw = "close in callbacks does nothing"
	diesOfAPanic                flaw = "dies of a panic"
	syncWaitsForCallbacks       flaw = "sync waits for callbacks"
	waitsForEver                flaw = "waits for ever"
	givesUpAtOnce               flaw = "gives up at once"
	hasNoBound                  flaw = "has no bound"
	roomIgnoresTheCtx           flaw = "room ignores the ctx"
	keepsRoom                   flaw = "keeps room"
	closeForgetsWaiters         flaw = "close forgets waiters"
	waitsForRoomInCallbacks     flaw = "waits for room in callbacks"
	trySendWaits                flaw = "try send waits"
	flushesNothing              flaw = "flushes nothing"
	flushForgetsCallbacks       flaw = "flush forgets callbacks"
	flushWaitsForIdle           flaw = "flush waits for idle"
	flushLooksAtItsCtxFirst     flaw = "flush looks at its ctx first"
	flushIgnoresItsCtx          flaw = "flush ignores its ctx"
	flushHidesTheNumber         flaw = "flush hides the number"
	closeDropsTheQueue          flaw = "close drops the queue"
	closeForgetsCallbacks       flaw = "close forgets callbacks"
	closesTwice                 flaw = "closes twice"
	closesOnlyOnce              flaw = "closes only once"
	closeOfNothingFails         flaw = "close of nothing fails"
	racesClose                  flaw = "races close"
	leaksAGoroutine             flaw = "leaks a goroutine"
	abortLosesOutcomes          flaw = "abort loses outcomes"
	closeIgnoresItsCtx          flaw = "close ignores its ctx"
	closeReturnsAnyError        flaw = "close returns any error"
	ignoresCloseTimeout         flaw = "ignores close timeout"
	closeInCallbacksHasNoBound  flaw = "close in callbacks has no bound"
	closesForOneself            flaw = "closes for oneself"
	forgetsItsCloseError        flaw = "forgets its close error"
	countsTwice                 flaw = "counts twice"
	trySendTakesAnything        flaw = "try send takes anything"
	sendFuncTellsLast           flaw = "send func tells last"
	sendAllForgetsWhich         flaw = "send all forgets which"
	sendAllStops                flaw = "send all stops"
	closeWaitsForTheCluster     flaw = "close waits for the cluster"
	sendWaitsForTheCluster      flaw = "send waits for the cluster"
	storesWhatItGaveUp          flaw = "stores what it gave up"
	miscountsAborted            flaw = "miscounts aborted"
	syncIgnoresItsCtx           flaw = "sync ignores its ctx"
	hasNoDeliveryTimeout        flaw = "has no delivery timeout"
	failsWithAnyError           flaw = "fails with any error"
	hasNoPatience               flaw = "has no patience"
	leaksAfterAnAbort           flaw = "leaks after an abort"
)

// flaws are the checks, and the flaws that each must find.
func flaws() map[string][]flaw {
	return map[string][]flaw{
		"Send accepts nothing when its ctx has ended":                                       {ignoresTheCtx, hidesTheCause, tellsOfRefused},
		"Send without a ctx is an error":                                                    {panicsWithoutACtx},
		"Send refuses a message that cannot be sent":                                        {takesAnyMessage, hidesTheEncodersError, quotesTheEncodersError, blamesTheDelivery},
		"Send refuses a message that is too large":                                          {hasNoSizeLimit},
		"Send looks at the ctx, then whether Close has begun, then at the message":          {looksAtTheMessageFirst, looksAtCloseFirst},
		"Send after Close returns ErrClosed":                                                {panicsAfterClose, acceptsAfterClose},
		"Send does not change the caller's message":                                         {writesToTheMessage, addsAHeader},
		"Send copies key, value and headers":                                                {borrowsBytes},
		"Send takes the same message again at once":                                         {remembersPointers},
		"Send takes one message from several goroutines":                                    {remembersPointers},
		"Send accepts for good: what its ctx does later changes nothing":                    {tiesMessagesToTheirCtx},
		"Send of a Sync fills in partition, offset and timestamp":                           {fillsInNothing},
		"every accepted message has one outcome, and a refused one has none":                {losesOutcomes, reportsTwice, tellsOfRefused, changesMetadata, storesTwice, reusesMessages},
		"what is delivered is stored as it was sent":                                        {storesNothing, misplaces, dropsHeaders, stampsLate},
		"null and empty stay different":                                                     {emptiesNull},
		"messages of one goroutine stay in order":                                           {reorders, reordersCallbacks},
		"callbacks get the values of Send's ctx, and no end of it":                          {passesTheCtxOn, forgetsTheCtx},
		"callbacks may send":                                                                {deadlocksInCallbacks},
		"callbacks get ErrInCallback from Flush":                                            {flushWaitsInCallbacks},
		"callbacks get ErrInCallback from Close, which begins":                              {closeWaitsInCallbacks, closeInCallbacksDoesNothing},
		"callbacks may panic and end their goroutine":                                       {diesOfAPanic},
		"callbacks that block do not hold up Send of a Sync":                                {syncWaitsForCallbacks},
		"Send without room returns ErrBufferFull in time":                                   {waitsForEver, givesUpAtOnce, hasNoBound},
		"Send without room ends with its ctx":                                               {roomIgnoresTheCtx, givesUpAtOnce},
		"Send without room goes on when a callback returns":                                 {keepsRoom},
		"Send without room is woken by Close":                                               {closeForgetsWaiters},
		"Send in a callback does not wait for room that it keeps itself":                    {waitsForRoomInCallbacks},
		"TrySend does not wait for room":                                                    {trySendWaits},
		"Flush waits for outcomes":                                                          {flushesNothing},
		"Flush waits for callbacks":                                                         {flushForgetsCallbacks},
		"Flush does not wait for later sends":                                               {flushWaitsForIdle},
		"Flush of a drained producer returns nil, whatever its ctx":                         {flushLooksAtItsCtxFirst},
		"Flush ends with its ctx, and can go on":                                            {flushIgnoresItsCtx, flushHidesTheNumber},
		"Close delivers what was accepted":                                                  {closeDropsTheQueue},
		"Close waits for callbacks":                                                         {closeForgetsCallbacks},
		"Close may be called again and by many at once":                                     {closesTwice, closesOnlyOnce},
		"Close of a drained producer returns nil, whatever its ctx":                         {closeOfNothingFails},
		"Close refuses the sends that it races, or reports them":                            {racesClose},
		"Close leaves no goroutine behind":                                                  {leaksAGoroutine},
		"Close with a ctx that has ended aborts at once, and every message has its outcome": {abortLosesOutcomes},
		"Close ends in time although a callback blocks":                                     {closeIgnoresItsCtx, closeReturnsAnyError},
		"Close without a deadline ends after CloseTimeout":                                  {ignoresCloseTimeout},
		"Close from a callback ends after CloseTimeout":                                     {closeInCallbacksHasNoBound},
		"Close ends for all with the first ctx that does":                                   {closesForOneself},
		"Close returns the first result when it is called again":                            {forgetsItsCloseError},
		"Stats are balanced at every moment":                                                {countsTwice},
		"TrySend refuses what Send refuses":                                                 {trySendTakesAnything},
		"SendFunc tells its function first, and once":                                       {sendFuncTellsLast},
		"SendAll returns what became of each message":                                       {sendAllForgetsWhich, sendAllStops},
		"Send, Flush and Close end in time while the cluster is broken":                     {closeWaitsForTheCluster, sendWaitsForTheCluster, storesWhatItGaveUp, miscountsAborted},
		"Send, Flush and Close end in time when the cluster breaks":                         {closeWaitsForTheCluster},
		"Send of a Sync ends with its ctx while the cluster is broken":                      {syncIgnoresItsCtx},
		"a message that finds no outcome fails after the delivery timeout":                  {hasNoDeliveryTimeout, failsWithAnyError},
		"messages of a broken cluster are delivered when it heals":                          {hasNoPatience},
		"Close of a broken cluster leaves no goroutine behind":                              {leaksAfterAnAbort},
	}
}
