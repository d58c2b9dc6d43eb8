// Package fault describes what an emulator does wrong on request, so that tests
// can show that a client survives it.
//
// A [Rule] says which requests it is about ([Match]) and what becomes of them
// ([Do]). Rules are given to an emulator in Options.Faults or with
// `enroll emulator --fault RULE`. The first rule that strikes decides about a
// request; requests for health and the admin listener are never touched. Every
// answer that a rule changed carries the rule in the header x-emulator-fault,
// and the log has one record "fault injected" for each time a rule struck.
//
// # Text
//
// In text, a rule is a list of words and settings with commas between them, in
// any order:
//
//	plane=service,op=put-enrollment,percent=30,drop-ack
//	op=*-group,nth=1,per-id,status=503,code=503001,retry-after=date:2
//	op=register,throttle=100/1m
//	op=poll,assigning=3
//
// Which requests:
//
//	plane=NAME     service, device or arm; any if left out
//	op=GLOB        operation, see [Operations]; * and ? are wildcards
//	id=GLOB        registration id, group id or certificate name, without case
//	nth=N          only the N-th of these requests
//	after=N        only those after the first N
//	times=N        strike N times at most
//	percent=P      strike this part of them, decided by the seed
//	per-id         count nth, after, times and throttle for each id by itself
//
// What becomes of them (one of these, or none):
//
//	status=N       refuse with this status, 400 to 599, and the error body of the plane
//	reset          cut the connection (TCP RST) before anything is done
//	close          close the connection before anything is done
//	drop-ack       do what was asked, then cut the connection without a word
//	close-after=N  do what was asked, send N bytes of the body, then close
//	truncate       do what was asked, send half of the JSON as if it were all
//	assigning=N    a poll says assigning N times for each operation; or `forever`
//	throttle=N/D   let N requests pass in each period D (1m if left out); refuse
//	               the others with 429 and the time that is left
//
// And with any of them, or alone:
//
//	code=N         error code of the refusal; default status and three zeros
//	committed      refuse with the status only after doing what was asked
//	retry-after=R  Retry-After of the answer: N (seconds, sent as it is, so 0 or
//	               -1 or 1000000000, too), Nms (x-ms-retry-after-ms), date:N (an
//	               HTTP date N seconds from now), absent, garbage
//	delay=D        wait this long first
//	slow=D         send the body in pieces over this time
//
// The word real-throttle stands for the limits that the service documents, see
// [RealThrottle].
//
// Over MQTT the operations of the device plane are hit alike, but for what it
// has no place for: there is no header x-emulator-fault, only the log, and
// retry-after=date: and Nms become absent. reset, close and drop-ack come
// instead of PUBACK; bytes and pieces are those of the answering PUBLISH.
//
// op=connect is the CONNECT of a device over MQTT, with or without WebSocket; its
// id is the registration id in the user name. Only rules that name it hit it: *
// does not. With reset and close the connection ends before CONNACK and without a
// look at the credential; with drop-ack after that look, still without CONNACK.
// close-after=N sends N bytes of the four of CONNACK, so that 4 closes a
// connection that the device takes for good. status= and throttle= refuse it:
// CONNACK 5 (not authorized) for 401 and 403, 3 (server unavailable) for all
// others. delay= and slow= hold CONNACK back.
//
//	op=connect,nth=1,per-id,status=503
//	op=connect,percent=20,close-after=4
//
// # Reproducible
//
// Whether a request is hit depends on the rules, the seed, and which request of
// its kind it is: the n-th of this operation on this id. It does not depend on
// time, or on what other clients do meanwhile, unless a rule counts across ids
// (nth, after, times or throttle without per-id). The same seed gives the same
// decisions for the same requests.
package fault
