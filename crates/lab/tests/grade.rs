//! The grader against servers that are right, and against servers that have one mistake each.

use netdisk_lab::grade::{Target, grade_server};
use netdisk_lab::limits::PATIENCE;
use netdisk_lab::mini::{MiniServer, Quirk};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How many servers are graded at once: a grader that waits for a core takes a wrong server's luck for skill.
static AT_ONCE: Semaphore = Semaphore::const_new(3);

/// The cases that a mini server with this quirk fails, each with what was seen.
async fn failures(quirk: Option<Quirk>) -> Vec<(&'static str, String)> {
    let _permit = AT_ONCE.acquire().await.expect("never closed");
    let server = MiniServer::bind(quirk).await.expect("a free port");
    let address = server.local_addr().expect("an address").to_string();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.run(stop.clone()));
    let report = grade_server(&Target::new(address, PATIENCE), 6, None).await;
    stop.cancel();
    serving.await.expect("it stops");
    assert_eq!(report.cases.len(), 55, "every case ran");
    let failed = report.cases.into_iter();
    failed.filter_map(|case| case.problem.map(|problem| (case.name, problem))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_do_only_what_is_allowed_pass() {
    use Quirk::{AddsFields, Drips, Heartbeats, Merges, SmallListings, SplitsHeaders};
    let quirks = [None, Some(Merges), Some(Heartbeats), Some(AddsFields), Some(SmallListings), Some(SplitsHeaders)];
    let graded = quirks.map(|quirk| (quirk, tokio::spawn(failures(quirk))));
    for (quirk, graded) in graded {
        assert_eq!(graded.await.expect("graded"), [], "{quirk:?}");
    }
    // Sixteen megabytes byte by byte would take minutes: that one case is left out.
    let dripping = failures_of_level(Drips, 3).await;
    assert_eq!(dripping, Vec::<&str>::new());
}

async fn failures_of_level(quirk: Quirk, level_max: u8) -> Vec<&'static str> {
    let server = MiniServer::bind(Some(quirk)).await.expect("a free port");
    let address = server.local_addr().expect("an address").to_string();
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    let report = grade_server(&Target::new(address, PATIENCE), level_max, None).await;
    stop.cancel();
    report.failed()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_fails_exactly_the_case_that_is_meant_for_it() {
    let mistakes = [
        (Quirk::ReadsHeaderOnce, "header-split-1-3"),
        (Quirk::FearsHeartbeats, "heartbeat-between-frames"),
        (Quirk::FearsHeartbeatsInBodies, "heartbeat-in-a-body"),
        (Quirk::SignedLength, "length-2^32-1"),
        (Quirk::TrustsStrangers, "stranger-over-the-limit"),
        (Quirk::LimitOffByOne, "data-at-the-limit"),
        (Quirk::DiesOfDeepJson, "deep-json"),
        (Quirk::StoresHalves, "fin-in-a-body"),
        (Quirk::SilentAfterAbort, "abort-leaves-it-in-step"),
        (Quirk::IgnoresDigests, "wrong-digest"),
        (Quirk::IdsIn32Bits, "ids-come-back"),
        (Quirk::Tires, "a-thousand-pipelined"),
        (Quirk::LeavesAtHalfClose, "all-said-is-not-gone"),
        (Quirk::CutsAtBadPaths, "bad-paths"),
        (Quirk::TellsUsersApart, "refusals-look-alike"),
        (Quirk::Impatient, "slow-reader"),
        (Quirk::Miscounts, "listing-is-whole"),
    ];
    let graded = mistakes.map(|(quirk, case)| (quirk, case, tokio::spawn(failures(Some(quirk)))));
    for (quirk, case, graded) in graded {
        let failed = graded.await.expect("graded");
        let names: Vec<_> = failed.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [case], "{quirk:?}: {failed:#?}");
    }
}
