//! The laws of files in parts.

use super::*;

fn content(size: u64) -> Bytes {
    (0..size).map(|at| u8::try_from((at * 7 + at / 251) % 251).expect("below 251")).collect()
}

/// The bytes of a part and its digest.
fn piece(content: &Bytes, number: u64) -> (Bytes, Digest) {
    let (offset, len) = Parts::of(content.len() as u64).expect("parts").place(number).expect("a part");
    let offset = usize::try_from(offset).expect("short");
    let data = content.slice(offset..offset + usize::try_from(len).expect("short"));
    let mut hasher = PartHasher::new(number);
    hasher.update(&data);
    (data, hasher.digest().expect("it has bytes"))
}

async fn bring(taker: &Arc<dyn PartTaker>, content: &Bytes, number: u64) -> Result<(), StorageError> {
    let (mut data, digest) = piece(content, number);
    let mut part = taker.begin(number).await?;
    while !data.is_empty() {
        part.write(data.split_to(data.len().min(300_000))).await?;
    }
    part.finish(digest).await
}

laws! {
    /// Whatever their order, and over what stood there only at the end.
    parts_come_in_any_order(store) {
        let home = home(&store).await;
        put(&home, "/f", b"old").await;
        let content = content(4 * PART_LEN + 5);
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
            let upload = home.begin_parts(resumable(content.len() as u64, "key")).await.expect("begun");
            assert_eq!(upload.offset(), 0);
            let taker = upload.taker();
            for number in order {
                assert_ne!(home.stat(&path("/f")).await.expect("there").modified, 1);
                bring(&taker, &content, number).await.expect("taken");
                assert_refused!(taker.begin(number).await.map(drop), StorageError::Exists);
            }
            let stored = upload.commit(Digest::of(&content)).await.expect("stored");
            assert_eq!((stored.size, stored.digest), (content.len() as u64, Digest::of(&content)));
            assert!(get(&home, "/f").await.expect("stored") == content, "{order:?}");
            assert_refused!(taker.begin(0).await.map(drop), StorageError::NoUpload);
        }
        assert_eq!(home.usage().await.expect("known").bytes, content.len() as u64);
    }

    /// At once, as several connections bring them.
    parts_come_at_the_same_time(store) {
        let home = home(&store).await;
        let content = content(9 * PART_LEN + 1);
        let upload = home.begin_parts(resumable(content.len() as u64, "key")).await.expect("begun");
        let bringing: Vec<_> = (0..10)
            .map(|number| {
                let (taker, content) = (upload.taker(), content.clone());
                tokio::spawn(async move { bring(&taker, &content, number).await })
            })
            .collect();
        for one in bringing {
            one.await.expect("no panic").expect("taken");
        }
        upload.commit(Digest::of(&content)).await.expect("stored");
        assert!(get(&home, "/f").await.expect("stored") == content);
    }

    /// What is wrong with one part changes nothing, and it can be brought again.
    each_part_is_checked(store) {
        let home = home(&store).await;
        let content = content(2 * PART_LEN + 5);
        let upload = home.begin_parts(resumable(content.len() as u64, "key")).await.expect("begun");
        let taker = upload.taker();
        let (data, digest) = piece(&content, 1);
        let part = async |data: Bytes, digest| {
            let mut part = taker.begin(1).await?;
            part.write(data).await?;
            part.finish(digest).await
        };
        assert_refused!(part(data.clone(), Digest::of(&data)).await, StorageError::DigestMismatch);
        assert_refused!(part(piece(&content, 0).0, digest).await, StorageError::DigestMismatch);
        assert_refused!(part(data.slice(1..), digest).await, StorageError::SizeMismatch { .. });
        assert_refused!(part([&data[..], b"x"].concat().into(), digest).await, StorageError::SizeMismatch { .. });
        assert_refused!(part(Bytes::new(), digest).await, StorageError::SizeMismatch { .. });
        for none in [3, u64::MAX] {
            assert_refused!(taker.begin(none).await.map(drop), StorageError::SizeMismatch { .. });
        }
        for number in [2, 0, 1] {
            bring(&taker, &content, number).await.expect("taken");
        }
        upload.commit(Digest::of(&content)).await.expect("stored");
        assert!(get(&home, "/f").await.expect("stored") == content);
    }

    /// The one that was there first may write no more: it may be another content.
    a_part_is_taken_over(store) {
        let home = home(&store).await;
        let content = content(PART_LEN + 5);
        let upload = home.begin_parts(resumable(content.len() as u64, "key")).await.expect("begun");
        let taker = upload.taker();
        let mut old = taker.begin(0).await.expect("begun");
        old.write(Bytes::from_static(&[1; 100_000])).await.expect("written");
        bring(&taker, &content, 0).await.expect("taken over");
        let refused = match old.write(Bytes::from_static(&[1; 100_000])).await {
            Ok(()) => old.write(Bytes::from_static(&[1; 100_000])).await,
            refused => refused,
        };
        assert_refused!(refused, StorageError::UnderWay);
        bring(&taker, &content, 1).await.expect("taken");
        upload.commit(Digest::of(&content)).await.expect("stored");
        assert!(get(&home, "/f").await.expect("stored") == content);
    }

    /// Nothing is stored of it, and nothing kept: the next one begins anew.
    parts_that_are_not_the_whole_store_nothing(store) {
        let home = home(&store).await;
        put(&home, "/f", b"old").await;
        let content = content(2 * PART_LEN + 5);
        let size = content.len() as u64;
        for brought in [&[][..], &[0, 1], &[0, 2], &[0, 1, 2]] {
            let upload = home.begin_parts(resumable(size, "key")).await.expect("begun");
            assert_eq!(upload.offset(), 0, "{brought:?}");
            for number in brought {
                bring(&upload.taker(), &content, *number).await.expect("taken");
            }
            match upload.commit(Digest::of(b"other")).await {
                Err(StorageError::SizeMismatch { .. }) => assert!(brought.len() < 3),
                Err(StorageError::DigestMismatch) => assert_eq!(brought.len(), 3),
                other => panic!("{other:?}"),
            }
            assert_eq!(get(&home, "/f").await.expect("there"), b"old");
        }
    }

    /// For an upload in parts, and for a plain one; what is behind a gap is not.
    what_is_there_without_a_gap_is_kept(store) {
        let home = home(&store).await;
        let content = content(5 * PART_LEN + 5);
        let size = content.len() as u64;
        let upload = home.begin_parts(resumable(size, "key")).await.expect("begun");
        let taker = upload.taker();
        for number in [0, 1, 3] {
            bring(&taker, &content, number).await.expect("taken");
        }
        let mut late = taker.begin(2).await.expect("begun");
        late.write(content.slice(..1000)).await.expect("written");
        upload.give_up().await;
        assert_refused!(late.finish(Digest::of(b"")).await, StorageError::SizeMismatch { .. } | StorageError::NoUpload);
        assert_refused!(taker.begin(2).await.map(drop), StorageError::NoUpload);
        assert_eq!(home.begin_upload(resumable(size, "key")).await.expect("begun").offset(), 2 * PART_LEN);
        let another = home.begin_parts(resumable(size, "other")).await.expect("begun");
        assert_eq!(another.offset(), 0, "of another content");
        drop(another);
        let upload = home.begin_parts(resumable(size, "key")).await.expect("begun");
        assert_eq!(upload.offset(), 2 * PART_LEN);
        for number in [5, 4, 3, 2] {
            bring(&upload.taker(), &content, number).await.expect("taken");
        }
        upload.commit(Digest::of(&content)).await.expect("stored");
        assert!(get(&home, "/f").await.expect("stored") == content);
    }

    /// Of what a plain upload left, whole parts count.
    parts_go_on_behind_a_plain_upload(store) {
        let home = home(&store).await;
        let content = content(3 * PART_LEN + 5);
        let size = content.len() as u64;
        let mut plain = home.begin_upload(resumable(size, "key")).await.expect("begun");
        plain.write(content.slice(..2_000_000)).await.expect("written");
        drop(plain);
        // Where its last writer is not done with it yet, there is a copy of what is there.
        let upload = home.begin_parts(resumable(size, "key")).await.expect("begun");
        let first = upload.offset() / PART_LEN;
        assert!(first <= 1);
        for number in (first..4).rev() {
            bring(&upload.taker(), &content, number).await.expect("taken");
        }
        upload.commit(Digest::of(&content)).await.expect("stored");
        assert!(get(&home, "/f").await.expect("stored") == content);
    }

    /// Each ends whole, and the last one stays.
    two_uploads_in_parts_are_apart(store) {
        let home = home(&store).await;
        let content = content(2 * PART_LEN + 5);
        let other: Bytes = content.iter().map(|byte| !byte).collect();
        let size = content.len() as u64;
        let one = home.begin_parts(resumable(size, "key")).await.expect("begun");
        let two = home.begin_parts(resumable(size, "key")).await.expect("begun");
        for number in 0..3 {
            bring(&one.taker(), &content, number).await.expect("taken");
            bring(&two.taker(), &other, number).await.expect("taken");
        }
        two.commit(Digest::of(&other)).await.expect("stored");
        assert!(get(&home, "/f").await.expect("stored") == other);
        one.commit(Digest::of(&content)).await.expect("stored");
        assert!(get(&home, "/f").await.expect("stored") == content);
    }

    /// Room is promised for all of it, and given back.
    uploads_in_parts_take_room(store) {
        let home = home(&store).await;
        let size = 2 * PART_LEN + 5;
        store.set_limits(&user("alice"), Limits { bytes: Some(size + 1), files: None }).await.expect("set");
        let upload = home.begin_parts(resumable(size, "key")).await.expect("there is room");
        let another = UploadSpec { size: Some(size), ..spec("/g", Existing::Replace) };
        assert_refused!(home.begin_parts(another.clone()).await.map(drop), StorageError::QuotaExceeded { .. });
        upload.give_up().await;
        home.begin_parts(another).await.expect("there is room again").give_up().await;
    }

    /// One of a single part, one of which nobody knows how large it is; and where none may stand.
    not_every_upload_comes_in_parts(store) {
        let home = home(&store).await;
        for size in [None, Some(0), Some(PART_LEN)] {
            let small = UploadSpec { size, ..spec("/f", Existing::Replace) };
            assert_refused!(home.begin_parts(small).await.map(drop), StorageError::NotInParts);
        }
        put(&home, "/f", b"old").await;
        let create = UploadSpec { size: Some(PART_LEN + 1), ..spec("/f", Existing::Refuse) };
        assert_refused!(home.begin_parts(create).await.map(drop), StorageError::Exists);
        let nowhere = UploadSpec { size: Some(PART_LEN + 1), ..spec("/no/f", Existing::Refuse) };
        assert_refused!(home.begin_parts(nowhere).await.map(drop), StorageError::NotFound);
    }

    /// What has to be remembered is bounded.
    parts_do_not_run_ahead(store) {
        let home = home(&store).await;
        let upload = home.begin_parts(resumable(1000 * PART_LEN, "key")).await.expect("begun");
        let taker = upload.taker();
        drop(taker.begin(PARTS_AHEAD_MAX - 1).await.expect("not too far"));
        assert_refused!(taker.begin(PARTS_AHEAD_MAX).await.map(drop), StorageError::TooFarAhead);
        upload.give_up().await;
    }

    /// Each with its own digest, and with that of the whole; of a small one there is only the whole.
    parts_make_the_digest_of_the_whole(store) {
        let home = home(&store).await;
        for size in [0, 1, PART_LEN, PART_LEN + 1, 2 * PART_LEN, 3 * PART_LEN + 5] {
            let content: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("below 251")).collect();
            put(&home, "/f", &content).await;
            let mut parts = Parts::of(size);
            let (mut came, count) = (Vec::new(), size.div_ceil(PART_LEN).max(1));
            for number in 0..count {
                let mut part = home.open_part(&path("/f"), number).await.expect("there");
                assert_eq!(part.entry().size, size);
                while let Some(data) = part.read().await.expect("readable") {
                    came.extend_from_slice(&data);
                }
                match &mut parts {
                    Some(parts) => {
                        assert_eq!(part.recorded(), Some(Digest::of(&content)), "{size}");
                        parts.add(number, part.digest());
                    }
                    None => assert_eq!(part.digest(), Digest::of(&content), "{size}"),
                }
            }
            assert!(came == content, "{size}");
            assert_eq!(parts.map(|parts| parts.digest()), (size > PART_LEN).then(|| Some(Digest::of(&content))));
            for none in [count, count + 1, u64::MAX] {
                assert_refused!(home.open_part(&path("/f"), none).await, StorageError::Changed);
            }
        }
        assert_refused!(home.open_part(&path("/no"), 0).await, StorageError::NotFound);
        assert_refused!(home.open_part(&path("/"), 0).await, StorageError::NotAFile);
    }
}
