//! Down: whole or not at all, whatever is cut, changed or damaged meanwhile.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use netdisk_client::{ClientError, GetTarget, Observer, OnExisting, Outcome, Progress, Unobserved, get};
use netdisk_model::{Digest, PART_LEN};
use netdisk_protocol::FaultCode;
use tokio_util::sync::CancellationToken;

use super::{CancelHalfWay, OPENING, OVERHEAD, Positions, SIZE, Scene, with_others};
use crate::fixture::{content, path};

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_comes_over_several_connections() {
    let mut scene = Scene::new().await;
    // One part, one byte more, as many parts as are worth a connection, one less, and the rest.
    let part = usize::try_from(PART_LEN).expect("short");
    for size in [0, 1, part - 1, part, part + 1, 3 * part, 8 * part - 1, 8 * part, 8 * part + 1, SIZE] {
        let bytes = content(size);
        scene.lay(&bytes);
        let watch = Positions::default();
        let outcome = scene.try_get(&watch, &CancellationToken::new()).await.expect("fetched");
        assert_eq!(outcome, Outcome { size: size as u64, digest: Digest::of(&bytes), reused: false });
        assert_eq!(watch.0.into_inner(), size as u64, "all of it was seen");
        scene.assert_is_back(&bytes);
        scene.client.whoami().await.expect("the connection is in step");
    }
    let passed = scene.relay.take_passed();
    assert!(passed.iter().sum::<u64>() < 2 * SIZE as u64 + 24 * PART_LEN, "and nothing twice: {passed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_carry_what_one_connection_cannot() {
    let mut scene = Scene::new().await;
    let bytes = content(SIZE);
    scene.lay(&bytes);
    let Scene { relay, client, folder, .. } = &mut scene;
    let target = GetTarget::File(folder.path().join("back"));
    let (path, cancel) = (path("/f"), CancellationToken::new());
    let moving = get(client, &path, target, OnExisting::Replace, &Unobserved, &cancel);
    with_others(relay, moving).await.expect("fetched");
    scene.assert_is_back(&bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_with_large_files_comes_over_several_connections() {
    let mut scene = Scene::new().await;
    for (name, size) in [("a", SIZE), ("b", SIZE - 7), ("c", 5)] {
        fs::write(scene.server.files("alice").join(name), content(size)).expect("written");
    }
    let summary = scene.get_tree().await;
    assert_eq!((summary.files, summary.failed), (3, 0));
    for (name, size) in [("a", SIZE), ("b", SIZE - 7), ("c", 5)] {
        assert!(fs::read(scene.local("tree").join(name)).expect("there") == content(size), "{name}");
    }
    assert_eq!(fs::read_dir(scene.local("tree")).expect("there").count(), 3, "no part file is left");
    scene.client.whoami().await.expect("the connection is in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_cut_the_file_comes_whole() {
    // The first connection early, in a body and late; others; all of them, several times.
    for cuts in [
        &[OPENING + 100][..],
        &[3_000_000],
        &[u64::MAX, 2_000_000],
        &[u64::MAX, 100, OPENING + 1, 4_000_000],
        &[2_500_000, 2_600_000, 2_700_000, 2_800_000],
        &[1_500_000, 700_000, 900_000, 1_100_000, 1_200_000, 1_300_000, 1_400_000],
        &[6_000_000, u64::MAX, u64::MAX, u64::MAX, 3_000_000, 500_000],
    ] {
        let mut scene = Scene::new().await;
        let bytes = content(SIZE);
        scene.lay(&bytes);
        scene.cut(cuts).await;
        assert_eq!(scene.get().await.digest, Digest::of(&bytes), "{cuts:?}");
        scene.assert_is_back(&bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_one_connection_is_cut_the_file_comes_whole() {
    let mut scene = Scene::new().await;
    for number in 0..16_u8 {
        let bytes: Vec<u8> = content(9_000_001).into_iter().map(|byte| byte.wrapping_add(number)).collect();
        scene.lay(&bytes);
        let mut cuts = [u64::MAX; 4];
        cuts[usize::from(number % 4)] = OPENING + u64::from(number) * 190_000;
        scene.cut(&cuts).await;
        assert_eq!(scene.get().await.digest, Digest::of(&bytes), "{cuts:?}");
        scene.assert_is_back(&bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_that_are_cut_come_whole() {
    for cuts in
        [&[5_000_000][..], &[u64::MAX, 3_000_000, 2_000_000], &[4_000_000, 4_000_000, 4_000_000, 4_000_000, 300_000]]
    {
        let mut scene = Scene::new().await;
        for name in ["a", "b"] {
            fs::write(scene.server.files("alice").join(name), content(SIZE)).expect("written");
        }
        scene.cut(cuts).await;
        let summary = scene.get_tree().await;
        assert_eq!((summary.files, summary.failed), (2, 0), "{cuts:?}");
        for name in ["a", "b"] {
            assert!(fs::read(scene.local("tree").join(name)).expect("there") == content(SIZE), "{cuts:?}");
        }
        assert_eq!(fs::read_dir(scene.local("tree")).expect("there").count(), 2, "no part file is left");
    }
}

async fn interrupted(scene: &mut Scene) -> u64 {
    let cancel = CancellationToken::new();
    // What is on its way cannot all arrive before it is stopped.
    scene.relay.hold_after(SIZE as u64 / 5);
    let outcome = scene.try_get(&CancelHalfWay(cancel.clone()), &cancel).await;
    scene.relay.cut_all();
    scene.relay.hold_after(u64::MAX);
    assert_eq!(outcome.expect_err("stopped").fault_code(), Some(FaultCode::Cancelled));
    assert!(!scene.local("back").exists());
    let kept = fs::read(scene.local("back.part")).expect("kept");
    assert!(kept.len() > SIZE / 8 && kept.len().is_multiple_of(PART_LEN as usize), "{}", kept.len());
    assert!(kept == content(SIZE)[..kept.len()], "what is kept is there without a gap");
    scene.cut(&[]).await;
    kept.len() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_download_goes_on_behind_what_is_there() {
    let mut scene = Scene::new().await;
    let bytes = content(SIZE);
    scene.lay(&bytes);
    let kept = interrupted(&mut scene).await;
    scene.get().await;
    scene.assert_is_back(&bytes);
    let passed: u64 = scene.relay.take_passed().iter().sum();
    assert!(passed < SIZE as u64 - kept + OVERHEAD, "{kept} of {SIZE} were there, {passed} passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_that_a_killed_command_left_are_no_content() {
    let mut scene = Scene::new().await;
    let bytes = content(SIZE);
    scene.lay(&bytes);
    let kept = interrupted(&mut scene).await;
    // As if it had been killed: half a part, a gap, and parts behind it.
    let part = fs::File::options().write(true).open(scene.local("back.part")).expect("kept");
    let at = usize::try_from(kept).expect("short");
    part.write_all_at(&bytes[at..at + 70_000], kept).expect("written");
    let end = SIZE - 3_000_000;
    part.write_all_at(&bytes[end..], end as u64).expect("written");
    scene.get().await;
    scene.assert_is_back(&bytes);
    let passed: u64 = scene.relay.take_passed().iter().sum();
    assert!(passed < SIZE as u64 - kept + OVERHEAD, "it went on, and not anew: {passed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_part_file_costs_a_second_download_and_never_a_wrong_file() {
    let mut scene = Scene::new().await;
    let bytes = content(SIZE);
    scene.lay(&bytes);
    interrupted(&mut scene).await;
    let part = fs::File::options().write(true).open(scene.local("back.part")).expect("kept");
    part.write_all_at(b"spoilt", 1000).expect("written");
    drop(part);
    // Of a file that was put there by hand, nobody knows what it should be: it is stored, for that to be known.
    fs::remove_file(scene.server.files("alice").join("f")).expect("removed");
    store(&mut scene, &bytes).await;
    scene.get().await;
    scene.assert_is_back(&bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_compared_where_nothing_is_known_of_the_file() {
    for is_complete in [false, true] {
        let mut scene = Scene::new().await;
        let bytes = content(SIZE);
        scene.lay(&bytes);
        let kept = usize::try_from(interrupted(&mut scene).await).expect("short");
        let part = fs::File::options().write(true).open(scene.local("back.part")).expect("kept");
        if is_complete {
            part.write_all_at(&bytes[kept..], kept as u64).expect("written");
        }
        part.write_all_at(b"spoilt", 1000).expect("written");
        drop(part);
        scene.get().await;
        scene.assert_is_back(&bytes);
    }
}

async fn store(scene: &mut Scene, bytes: &[u8]) {
    let source = netdisk_client::PutSource::Stream(Box::new(std::io::Cursor::new(bytes.to_vec())));
    let cancel = CancellationToken::new();
    netdisk_client::put(&mut scene.client, source, &path("/f"), OnExisting::Replace, &Unobserved, &cancel)
        .await
        .expect("stored");
}

/// Changes the file once some of it has come.
struct ChangeHalfWay {
    file: PathBuf,
    bytes: Vec<u8>,
    done: std::sync::Once,
}

impl Observer for ChangeHalfWay {
    fn progress(&self, progress: Progress) {
        if progress.size == Some(SIZE as u64) && progress.position > 0 {
            self.done.call_once(|| {
                let beside = self.file.with_extension("new");
                fs::write(&beside, &self.bytes).expect("written");
                fs::rename(beside, &self.file).expect("renamed");
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_meanwhile_is_never_spliced() {
    for size in [SIZE, SIZE - 1, 9_000_000, 100] {
        let mut scene = Scene::new().await;
        scene.lay(&content(SIZE));
        let other: Vec<u8> = content(size).into_iter().map(|byte| !byte).collect();
        let file = scene.server.files("alice").join("f");
        let watch = ChangeHalfWay { file, bytes: other.clone(), done: std::sync::Once::new() };
        let outcome = scene.try_get(&watch, &CancellationToken::new()).await.expect("fetched");
        assert!(watch.done.is_completed());
        // All that was asked for may have been opened before.
        let whole = [content(SIZE), other].into_iter().find(|whole| Digest::of(whole) == outcome.digest);
        scene.assert_is_back(&whole.expect("one or the other"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_and_not_handed_out() {
    let mut scene = Scene::new().await;
    store(&mut scene, &content(SIZE)).await;
    let file = scene.server.files("alice").join("f");
    // As a bad disk would: its times stay.
    let metadata = fs::metadata(&file).expect("there");
    let damaged = fs::File::options().write(true).open(&file).expect("there");
    damaged.write_all_at(b"rotten", SIZE as u64 - 4_000_000).expect("written");
    damaged.set_modified(metadata.modified().expect("known")).expect("set");
    drop(damaged);
    let refused = scene.try_get(&Unobserved, &CancellationToken::new()).await.expect_err("damaged");
    assert_eq!(refused.fault_code(), Some(FaultCode::Corrupt), "{refused}");
    assert_eq!(fs::read_dir(scene.folder.path()).expect("there").count(), 0, "nothing of it stays");
    let summary = scene.get_tree().await;
    assert_eq!((summary.files, summary.failed), (0, 1));
    assert_eq!(fs::read_dir(scene.local("tree")).expect("there").count(), 0, "nothing of it stays");
    scene.client.whoami().await.expect("the connection is in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_too_small_here_is_said() {
    let mut scene = Scene::new().await;
    let huge = fs::File::create(scene.server.files("alice").join("f")).expect("made");
    huge.set_len(1 << 43).expect("sparse");
    let refused = scene.try_get(&Unobserved, &CancellationToken::new()).await.expect_err("no room");
    assert!(matches!(refused, ClientError::Local { .. }), "{refused}");
    scene.client.whoami().await.expect("the connection is in step");
}
