use super::*;
use crate::base::timers::Timers;
use crate::record::compose;
use crate::record::inward::Decision;
use crate::record::layout::{FAILED_OTHER_RUNS, KIND_ATTEMPT_FAILED, KIND_COMPLETION, KIND_HEAD, KIND_LATE};
use crate::record::words::{AttemptFailedWords, WakeWords, kind_of};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// A path that makes a record of about a seventeenth of the ring.
const LONG_PATH: usize = 60_000;
const MS: Nanos = 1_000_000;

fn key(number: u32) -> Key {
    Key { index: number, generation: 1 }
}

fn request(path_len: usize) -> Fields {
    let mut request = Fields::new();
    request.push(b":method", b"GET");
    request.push(b":path", &vec![b'/'; path_len.max(1)]);
    request
}

fn request_id() -> RequestId {
    RequestId::new(b"of-a-test").unwrap()
}

fn failure(flags: u32) -> Failure {
    let facts = FailureFacts {
        attempts: 1,
        backend: 0,
        reason: 32,
        flags,
        took_us: 0,
        connection: 0,
        plan: 0,
        status: 0,
        grpc_status: None,
        retry_after_s: None,
    };
    Failure { facts, tag: Tag::NONE, age_us: 0, request_id: request_id() }
}

fn completion(exchange: Key) -> CompletionFacts {
    CompletionFacts {
        exchange,
        tag: Tag::NONE,
        backend: 0,
        attempts: 1,
        status: 200,
        reason: 0,
        flags: 0,
        listener: 0,
        peer: "192.0.2.1:1".parse().unwrap(),
        phases_us: [0; 5],
        rtt_us: 0,
        bytes_in: 0,
        bytes_out: 0,
        connection: 0,
        started_ms: 0.0,
        backend_status: 200,
        grpc_status: None,
        retry_after_s: None,
        loser: None,
        request_id: request_id(),
        certificate: None,
    }
}

/// What the lane still has to do for an exchange.
struct Open {
    request: Fields,
    /// What is undecided: the head, or a failure.
    offer: Option<u32>,
    is_late: bool,
    place: Option<Place>,
}

/// Exchanges by their number.
#[derive(Default)]
struct Table(BTreeMap<u32, Open>);

impl Exchanges for Table {
    fn offered(&self, key: Key) -> Option<Offered<'_>> {
        let open = self.0.get(&key.index)?;
        if open.offer? == KIND_ATTEMPT_FAILED {
            return Some(Offered::Failure(failure(0)));
        }
        let facts = HeadFacts {
            exchange: key,
            listener: 0,
            flags: 0,
            peer: "192.0.2.1:1".parse().unwrap(),
            cipher: 0,
            group: 0,
            connection: 0,
            content_length: None,
            request_id: request_id(),
            tag: Tag::NONE,
            age_us: 0,
            certificate: &[],
        };
        Some(Offered::Head(facts, &open.request))
    }

    fn offer_written(&mut self, key: Key, place: Place) {
        self.0.get_mut(&key.index).unwrap().place = Some(place);
    }

    fn late(&self, key: Key) -> Option<LateFacts> {
        let open = self.0.get(&key.index)?;
        open.is_late.then_some(LateFacts { attempts: 1, backend: 0, tag: Tag::NONE, took_us: 0, age_us: 0, plan: 0 })
    }
}

/// A record as the test's lane reads it: kind, exchange, and whether no decision is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Read {
    kind: u32,
    number: u32,
    is_told: bool,
}

fn told(kind: u32, number: u32) -> Read {
    Read { kind, number, is_told: true }
}

fn asked(kind: u32, number: u32) -> Read {
    Read { kind, number, is_told: false }
}

struct Bench {
    lane: Lane,
    decisions: Decisions,
    table: Table,
    opened: u32,
}

impl Bench {
    fn new() -> Bench {
        let (lane, decisions) = lane();
        Bench { lane, decisions, table: Table::default(), opened: 0 }
    }

    /// Opens an exchange and offers its head.
    fn open(&mut self, path_len: usize) -> u32 {
        let number = self.opened;
        self.opened += 1;
        self.table.0.insert(number, Open { request: request(path_len), offer: None, is_late: false, place: None });
        self.offer(number, KIND_HEAD);
        number
    }

    fn offer(&mut self, number: u32, kind: u32) {
        let open = self.table.0.get_mut(&number).unwrap();
        (open.offer, open.place) = (Some(kind), None);
        self.lane.offer(key(number), &mut self.table);
    }

    fn tell_late(&mut self, number: u32) {
        self.table.0.get_mut(&number).unwrap().is_late = true;
        self.lane.tell_late(key(number), &self.table);
    }

    /// Ends an exchange as the relay does.
    fn end(&mut self, number: u32) {
        let mut open = self.table.0.remove(&number).unwrap();
        if let (Some(_), Some(place)) = (open.offer, open.place) {
            self.lane.withdraw(place, key(number));
        }
        self.lane.complete(completion(key(number)), &mut open.request);
    }

    /// The lane reads one record.
    fn read(&mut self) -> Option<Read> {
        let record = self.lane.ring.next_for_lane()?;
        let kind = kind_of(&record).unwrap();
        let is_told = match kind {
            KIND_HEAD => false,
            KIND_ATTEMPT_FAILED => AttemptFailedWords::read(&record).unwrap().0.flags & FAILED_OTHER_RUNS != 0,
            _ => true,
        };
        // The words of a Wake are those that every record has.
        Some(Read { kind, number: WakeWords::read(&record).unwrap().0.exchange.index, is_told })
    }

    /// One call, in which the lane reads everything.
    fn call(&mut self) -> Vec<Read> {
        self.lane.begin_call();
        let read = std::iter::from_fn(|| self.read()).collect();
        self.lane.end_call(&mut self.table);
        read
    }

    /// Calls the lane until nothing is left to read.
    fn call_until_quiet(&mut self) -> Vec<Read> {
        let mut all = self.call();
        while self.lane.is_due() {
            all.extend(self.call());
        }
        all
    }

    fn change_lanes(&mut self) {
        self.lane.begin_again();
        let undecided: Vec<(u32, u32)> = self.table.0.iter().filter_map(|(number, open)| Some((*number, open.offer?))).collect();
        for (number, kind) in undecided {
            self.offer(number, kind);
        }
        self.lane.write_backlog(&mut self.table);
    }
}

#[test]
fn records_keep_their_order_while_the_ring_is_full() {
    let mut bench = Bench::new();
    let heads: Vec<u32> = (0..40).map(|_| bench.open(LONG_PATH)).collect();
    // Each of these is small and would fit where a head does not.
    bench.tell_late(heads[39]);
    bench.lane.tell_failure(key(heads[38]), failure(FAILED_OTHER_RUNS));
    let ends = bench.open(1);
    bench.end(ends);
    let last = bench.open(1);
    assert!(!bench.lane.backlog.is_empty());
    let first_call = bench.call();
    assert!(first_call.len() < 40 && bench.lane.is_due(), "the lane is called again at once");
    let read: Vec<Read> = first_call.into_iter().chain(bench.call_until_quiet()).collect();
    let mut wanted: Vec<Read> = heads.iter().map(|number| asked(KIND_HEAD, *number)).collect();
    wanted.extend([told(KIND_LATE, heads[39]), told(KIND_ATTEMPT_FAILED, heads[38]), told(KIND_COMPLETION, ends), asked(KIND_HEAD, last)]);
    assert_eq!(read, wanted);
    assert!(!bench.lane.is_due());
}

#[test]
fn what_is_told_once_and_was_not_read_is_written_again_to_a_successor() {
    let mut bench = Bench::new();
    let (decided, undecided) = (bench.open(1), bench.open(1));
    assert_eq!(bench.call(), [asked(KIND_HEAD, decided), asked(KIND_HEAD, undecided)]);
    bench.table.0.get_mut(&decided).unwrap().offer = None;
    bench.tell_late(decided);
    bench.lane.tell_failure(key(decided), failure(FAILED_OTHER_RUNS));
    bench.end(decided);
    // So many that some wait for room.
    let ended: Vec<u32> = (0..20).map(|_| bench.open(LONG_PATH)).collect();
    ended.iter().for_each(|number| bench.end(*number));
    bench.change_lanes();
    let mut wanted = vec![told(KIND_ATTEMPT_FAILED, decided), told(KIND_COMPLETION, decided)];
    wanted.extend(ended.iter().map(|number| told(KIND_COMPLETION, *number)));
    wanted.push(asked(KIND_HEAD, undecided));
    assert_eq!(bench.call_until_quiet(), wanted);
}

#[test]
fn an_offer_that_is_taken_back_is_passed_over_and_a_failure_is_told() {
    let mut bench = Bench::new();
    let numbers = [bench.open(1), bench.open(1), bench.open(1)];
    bench.end(numbers[1]);
    assert_eq!(bench.call(), [asked(KIND_HEAD, numbers[0]), asked(KIND_HEAD, numbers[2]), told(KIND_COMPLETION, numbers[1])]);
    bench.offer(numbers[0], KIND_ATTEMPT_FAILED);
    bench.offer(numbers[2], KIND_ATTEMPT_FAILED);
    bench.end(numbers[0]);
    let failures = [told(KIND_ATTEMPT_FAILED, numbers[0]), asked(KIND_ATTEMPT_FAILED, numbers[2])];
    assert_eq!(bench.call(), [failures[0], failures[1], told(KIND_COMPLETION, numbers[0])]);
    // Taken back after it was read: another record is in its place now.
    let read = bench.open(1);
    assert_eq!(bench.call(), [asked(KIND_HEAD, read)]);
    let other = bench.open(1);
    bench.end(read);
    assert_eq!(bench.call(), [asked(KIND_HEAD, other), told(KIND_COMPLETION, read)]);
}

#[test]
fn completions_wait_fifty_milliseconds_unless_their_end_makes_room_for_others() {
    let mut bench = Bench::new();
    let mut timers = Timers::new().unwrap();
    let ends = bench.open(1);
    bench.call();
    bench.end(ends);
    assert!(!bench.lane.is_due());
    bench.lane.arm(&mut timers, 100 * MS);
    assert_eq!(timers.pop_due(149 * MS), None);
    let (due, owner) = timers.pop_due(150 * MS).unwrap();
    assert_eq!(owner, TIMER);
    bench.lane.on_timer(due);
    assert!(bench.lane.is_due());
    assert_eq!(bench.call(), [told(KIND_COMPLETION, ends)]);
    assert!(!bench.lane.is_due());
    // Nothing is waited for: no timer.
    bench.lane.arm(&mut timers, 200 * MS);
    assert_eq!(timers.pop_due(Nanos::MAX), None);

    let ends = bench.open(1);
    bench.call();
    // SAFETY: the lane's word of the control block, which the lane alone writes.
    unsafe { bench.lane.region().cast::<u32>().add(64).write(1) };
    assert!(!bench.lane.is_due());
    bench.end(ends);
    assert!(bench.lane.is_due());
}

#[test]
fn a_timer_that_comes_due_after_a_call_asks_for_none() {
    let mut bench = Bench::new();
    let mut timers = Timers::new().unwrap();
    let ends = bench.open(1);
    bench.end(ends);
    bench.lane.arm(&mut timers, 0);
    // The completion rides with the head.
    assert_eq!(bench.call(), [told(KIND_COMPLETION, ends)]);
    let (due, _) = timers.pop_due(50 * MS).unwrap();
    bench.lane.on_timer(due);
    assert!(!bench.lane.is_due());
}

#[test]
fn decisions_are_taken_where_they_stand_while_records_are_written() {
    let mut bench = Bench::new();
    let body = vec![b'x'; 1000];
    assert!(bench.decisions.write(&compose::respond(key(0), 200, 0, &[], &body)));
    let mut nonsense = compose::wake(key(1));
    nonsense[4] = 99;
    assert!(bench.decisions.write(&nonsense));
    assert!(bench.decisions.write(&compose::wake(key(2))));
    let Bench { lane, decisions, table, .. } = &mut bench;
    let mut taken = Vec::new();
    decisions.take(|key, decision| {
        for number in 0..100 {
            lane.complete(completion(Key { index: number, ..key }), &mut request(1000));
        }
        lane.write_backlog(table);
        taken.push(key.index);
        if let Decision::Respond(respond) = decision {
            assert_eq!(respond.body(), body);
        }
    });
    assert_eq!(taken, [0, 2], "what says nothing is passed over");
    assert_eq!(bench.call_until_quiet().len(), 200);
}

#[test]
fn a_lane_that_starts_over_has_completions_and_no_offers() {
    let mut bench = Bench::new();
    let number = bench.open(1);
    bench.end(number);
    bench.lane.start_over();
    assert!(!bench.lane.is_due());
    let mut timers = Timers::new().unwrap();
    bench.lane.arm(&mut timers, 0);
    assert!(timers.pop_due(50 * MS).is_some());
    assert_eq!(bench.lane.begin_call(), 0);
    assert_eq!(bench.call(), [told(KIND_COMPLETION, number)]);
}

/// What may happen; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Open(usize),
    Fail(usize),
    Late(usize),
    FailBeside(usize),
    End(usize),
    Read(usize),
    ChangeLanes,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![Just(1), Just(LONG_PATH)].prop_map(Step::Open),
        3 => any::<usize>().prop_map(Step::Fail),
        2 => any::<usize>().prop_map(Step::Late),
        2 => any::<usize>().prop_map(Step::FailBeside),
        3 => any::<usize>().prop_map(Step::End),
        2 => (0..30usize).prop_map(Step::Read),
        1 => Just(Step::ChangeLanes),
    ]
}

/// What the lane has yet to read, in order. A late record may be missing once its exchange has
/// ended.
#[derive(Default)]
struct Wanted(VecDeque<Read>);

impl Wanted {
    fn judge(&mut self, read: Read, table: &Table) -> Result<(), TestCaseError> {
        while let Some(wanted) = self.0.pop_front() {
            if wanted == read {
                return Ok(());
            }
            let may_be_left_out = wanted.kind == KIND_LATE && !table.0.contains_key(&wanted.number);
            prop_assert!(may_be_left_out, "{:?} was read and {:?} wanted", read, wanted);
        }
        prop_assert!(false, "{:?} was read and nothing wanted", read);
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_record_is_read_once_and_in_order_whatever_happens(steps in prop::collection::vec(step(), 0..150)) {
        let mut bench = Bench::new();
        let mut wanted = Wanted::default();
        for step in steps {
            let undecided = |open: &Open| open.offer.is_some();
            let pick = |table: &Table, place: usize, is_fit: &dyn Fn(&Open) -> bool| {
                let fit: Vec<u32> = table.0.iter().filter(|(_, open)| is_fit(open)).map(|(number, _)| *number).collect();
                fit.get(place.checked_rem(fit.len())?).copied()
            };
            match step {
                Step::Open(path_len) => {
                    let number = bench.open(path_len);
                    wanted.0.push_back(asked(KIND_HEAD, number));
                }
                Step::Fail(place) => {
                    let Some(number) = pick(&bench.table, place, &|open| !undecided(open)) else { continue };
                    bench.offer(number, KIND_ATTEMPT_FAILED);
                    wanted.0.push_back(asked(KIND_ATTEMPT_FAILED, number));
                }
                Step::Late(place) => {
                    let Some(number) = pick(&bench.table, place, &|open| !undecided(open) && !open.is_late) else { continue };
                    bench.tell_late(number);
                    wanted.0.push_back(told(KIND_LATE, number));
                }
                Step::FailBeside(place) => {
                    let Some(number) = pick(&bench.table, place, &|open| !undecided(open)) else { continue };
                    bench.lane.tell_failure(key(number), failure(FAILED_OTHER_RUNS));
                    wanted.0.push_back(told(KIND_ATTEMPT_FAILED, number));
                }
                Step::End(place) => {
                    let Some(number) = pick(&bench.table, place, &|_| true) else { continue };
                    let is_in_ring = bench.table.0[&number].place.is_some();
                    bench.end(number);
                    wanted.0.retain(|read| *read != asked(KIND_HEAD, number) && (is_in_ring || *read != asked(KIND_ATTEMPT_FAILED, number)));
                    for read in wanted.0.iter_mut().filter(|read| **read == asked(KIND_ATTEMPT_FAILED, number)) {
                        read.is_told = true;
                    }
                    wanted.0.push_back(told(KIND_COMPLETION, number));
                }
                Step::Read(count) => {
                    bench.lane.begin_call();
                    for _ in 0..count {
                        let Some(read) = bench.read() else { break };
                        wanted.judge(read, &bench.table)?;
                        if !read.is_told {
                            let open = bench.table.0.get_mut(&read.number).unwrap();
                            (open.offer, open.place) = (None, None);
                        }
                    }
                    bench.lane.end_call(&mut bench.table);
                    prop_assert_eq!(bench.lane.is_due(), bench.lane.ring.has_for_lane());
                }
                Step::ChangeLanes => {
                    bench.change_lanes();
                    wanted.0.retain(|read| read.is_told && read.kind != KIND_LATE);
                    let again = bench.table.0.iter().filter_map(|(number, open)| Some(asked(open.offer?, *number)));
                    wanted.0.extend(again);
                }
            }
            // Nothing waits while there is nothing to be read.
            prop_assert!(bench.lane.backlog.is_empty() || bench.lane.ring.has_for_lane());
        }
        for read in bench.call_until_quiet() {
            wanted.judge(read, &bench.table)?;
        }
        wanted.0.retain(|read| read.kind != KIND_LATE || bench.table.0.contains_key(&read.number));
        prop_assert!(wanted.0.is_empty(), "{:?} was never read", wanted.0);
    }
}
