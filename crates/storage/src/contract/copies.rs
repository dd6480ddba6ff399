//! The laws of copies.

use super::*;

laws! {
    /// Content and time; over another only when told.
    files_are_copied(store) {
        let home = home(&store).await;
        let spec = UploadSpec { modified: Some(-1), ..spec("/f", Existing::Replace) };
        put_as(&home, spec, b"content").await.expect("stored");
        put(&home, "/g", b"g").await;
        assert_refused!(home.copy(&path("/f"), &path("/g"), Existing::Refuse).await, StorageError::Exists);
        home.copy(&path("/f"), &path("/h"), Existing::Refuse).await.expect("copied");
        home.copy(&path("/f"), &path("/g"), Existing::Replace).await.expect("copied over");
        for at in ["/f", "/g", "/h"] {
            assert_eq!(get(&home, at).await.expect("there"), b"content");
            assert_eq!(home.stat(&path(at)).await.expect("there").modified, -1);
        }
        put(&home, "/f", b"other").await;
        assert_eq!(get(&home, "/h").await.expect("there"), b"content");
        home.copy(&path("/f"), &path("/f"), Existing::Replace).await.expect("to where it is");
        home.make_directory(&path("/d")).await.expect("made");
        assert_refused!(home.copy(&path("/f"), &path("/d"), Existing::Replace).await, StorageError::Exists);
        assert_refused!(home.copy(&path("/no"), &path("/x"), Existing::Refuse).await, StorageError::NotFound);
        assert_refused!(home.copy(&path("/f"), &path("/no/x"), Existing::Refuse).await, StorageError::NotFound);
    }

    /// With empty directories; never over anything, and not into itself.
    trees_are_copied(store) {
        let home = home(&store).await;
        home.make_directories(&path("/a/b/c")).await.expect("made");
        put(&home, "/a/b/f", b"f").await;
        put(&home, "/a/g", b"g").await;
        home.copy(&path("/a"), &path("/x"), Existing::Refuse).await.expect("copied");
        assert_eq!(names(&home, "/x", Depth::Tree).await, ["/x/b", "/x/b/c", "/x/b/f", "/x/g"]);
        assert_eq!(get(&home, "/x/b/f").await.expect("there"), b"f");
        assert_eq!(names(&home, "/a", Depth::Tree).await, ["/a/b", "/a/b/c", "/a/b/f", "/a/g"]);
        assert_refused!(home.copy(&path("/a"), &path("/x"), Existing::Replace).await, StorageError::Exists);
        assert_refused!(home.copy(&path("/a"), &path("/a/b/y"), Existing::Refuse).await, StorageError::IntoItself);
        assert_refused!(home.copy(&path("/"), &path("/y"), Existing::Refuse).await, StorageError::IntoItself);
        assert_refused!(home.copy(&path("/a"), &path("/no/y"), Existing::Refuse).await, StorageError::NotFound);
        assert_eq!(names(&home, "/", Depth::OneLevel).await, ["/a", "/x"]);
    }

    /// Against the quota, before anything is copied.
    a_copy_counts(store) {
        let home = home(&store).await;
        home.make_directory(&path("/a")).await.expect("made");
        put(&home, "/a/f", b"12345").await;
        put(&home, "/a/g", b"12").await;
        store.set_limits(&user("alice"), Limits { bytes: Some(13), files: None }).await.expect("set");
        assert_refused!(
            home.copy(&path("/a"), &path("/b"), Existing::Refuse).await,
            StorageError::QuotaExceeded { quota: Quota::Bytes, max: 13, missing: 1 }
        );
        home.copy(&path("/a/f"), &path("/f"), Existing::Refuse).await.expect("copied");
        assert_eq!(home.usage().await.expect("known").bytes, 12);
        home.remove(&path("/f"), Removal::Single).await.expect("removed");
        store.set_limits(&user("alice"), Limits { bytes: Some(14), files: Some(4) }).await.expect("set");
        home.copy(&path("/a"), &path("/b"), Existing::Refuse).await.expect("copied");
        let usage = home.usage().await.expect("known");
        assert_eq!((usage.bytes, usage.files), (14, 4));
        home.remove(&path("/b"), Removal::Tree).await.expect("removed");
        assert_eq!(home.usage().await.expect("known").bytes, 7);
    }
}
