//! Thousands of exchanges, good and bad, as they went with the build that was recorded: what a
//! rebuilt house must not change. `answers.txt` has a line for each: its name, how it ended, and a
//! sum of all that client, origin and lane saw.
//!
//!     RECORD=1 cargo test -p lychgate-core --test recorded    records anew
//!     CASE=NAME cargo test -p lychgate-core --test recorded -- --nocapture    shows one

mod corpus;
mod stage;
#[allow(dead_code, unused_imports, reason = "the other tests use more of it")]
#[path = "../support/mod.rs"]
mod support;

use stage::{Case, Stage};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Cases between fresh starts of the edge.
const A_STAGE: usize = 100;
/// Stages at a time.
const STAGES: usize = 6;

#[test]
fn every_exchange_goes_as_it_was_recorded() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/answers.txt");
    let cases = corpus::cases();
    if let Ok(wanted) = std::env::var("CASE") {
        for case in cases.iter().filter(|case| case.name == wanted) {
            println!("{case:#?}\n{}", Stage::new().play(case));
        }
        return;
    }
    let played = play(&cases);
    let mut lines = String::new();
    let mut whole = String::new();
    for (case, seen) in cases.iter().zip(&played) {
        let _ = writeln!(lines, "{} {} {:016x}", case.name, summary(seen), sum(seen.as_bytes()));
        let _ = writeln!(whole, "==== {}\n{seen}", case.name);
    }
    // What two builds did can be compared line by line.
    std::fs::write(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("recorded.txt"), whole).unwrap();
    if std::env::var("RECORD").is_ok() {
        std::fs::write(&file, &lines).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(&file).unwrap();
    let differing: Vec<String> = recorded
        .lines()
        .zip(lines.lines())
        .filter(|(before, now)| before != now)
        .map(|(before, now)| format!("  recorded {before}\n  now      {now}"))
        .collect();
    assert!(
        differing.is_empty(),
        "{} of {} exchanges go otherwise:\n{}",
        differing.len(),
        cases.len(),
        differing[..differing.len().min(10)].join("\n")
    );
    assert_eq!(recorded.lines().count(), cases.len());
}

/// Plays all cases, some stages at a time: most of the time they rest.
fn play(cases: &[Case]) -> Vec<String> {
    let parts: Vec<&[Case]> = cases.chunks(A_STAGE).collect();
    let next = AtomicUsize::new(0);
    let done: Vec<OnceLock<Vec<String>>> = parts.iter().map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..STAGES {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Relaxed);
                    let Some(part) = parts.get(place) else { break };
                    let mut stage = Stage::new();
                    done[place].set(part.iter().map(|case| stage.play(case)).collect()).unwrap();
                }
            });
        }
    });
    done.into_iter().flat_map(|part| part.into_inner().unwrap()).collect()
}

/// How it ended, for whoever reads a difference.
fn summary(seen: &str) -> String {
    let status = seen.lines().find_map(|line| line.strip_prefix("  :status: ")).unwrap_or("-");
    let reset = seen.lines().find_map(|line| line.split_once("reset Some(")).map_or("-", |(_, code)| code.trim_end_matches(')'));
    let closed = seen.lines().find_map(|line| line.strip_prefix("closed ")).map_or("-".to_owned(), |text| text.replace(' ', ":"));
    let reason = seen.lines().find_map(|line| line.split_once(", reason ")).map_or("-", |(_, rest)| rest.split(',').next().unwrap());
    format!("status={status} reset={reset} closed={closed} reason={reason}")
}

/// FNV-1a: it need not withstand anybody.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
