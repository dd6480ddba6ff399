//! The tour that `netdisk try` plays where nobody can type: the main job, end to end, each step printed and checked.

use std::path::Path;

use netdisk_client::{GetTarget, OnExisting, PutSource, Unobserved, get, put};
use netdisk_model::{Digest, Password, RemotePath};

use crate::failure::Failure;
use crate::output::Output;
use crate::remote::Remote;

/// Size of the files that travel, in bytes: several frames, and no multiple of one.
const FILE_LEN: usize = 1_000_003;

/// Registers, puts, overwrites, lists, gets, and compares digests.
pub(crate) async fn play(remote: &mut Remote, output: &Output) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::unexpected)?;
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    write_random(&old)?;
    write_random(&new)?;

    let user = "tour".parse().map_err(Failure::unexpected)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(Failure::unexpected)?;
    let client = remote.register_as(&user, Password::new(hex::encode(random))).await?;
    output.text(&format!("register  {user}"));

    let path = RemotePath::root().join("夏天 [1].bin").map_err(Failure::unexpected)?;
    let cancel = tokio_util::sync::CancellationToken::new();
    let mut digests = Vec::new();
    for (verb, local) in [("put", &old), ("overwrite", &new)] {
        let source = PutSource::File(local.clone());
        let outcome = put(client, source, &path, OnExisting::Replace, &Unobserved, &cancel).await?;
        output.text(&format!("{verb:<9} {path}  {} bytes  blake3:{}", outcome.size, outcome.digest));
        digests.push(outcome.digest);
    }
    for entry in client.list(&RemotePath::root(), false).await?.entries {
        output.text(&format!("ls        {}  {} bytes", entry.path, entry.size));
    }
    let back = folder.path().join("back");
    let target = GetTarget::File(back.clone());
    let outcome = get(client, &path, target, OnExisting::Refuse, &Unobserved, &cancel).await?;
    output.text(&format!("get       {path}  {} bytes  blake3:{}", outcome.size, outcome.digest));
    remote.close().await;

    let sent = digest_of(&new)?;
    let received = digest_of(&back)?;
    if sent != received || digests != [digest_of(&old)?, sent] {
        return Err(Failure::Integrity(format!("sent {sent}, received {received}")));
    }
    output.text("digests   equal: what came back is what was sent last");
    Ok(())
}

fn write_random(path: &Path) -> Result<(), Failure> {
    let mut content = vec![0; FILE_LEN];
    getrandom::fill(&mut content).map_err(Failure::unexpected)?;
    std::fs::write(path, content).map_err(Failure::unexpected)
}

/// Computed from the file itself, not taken from anybody's reply.
fn digest_of(path: &Path) -> Result<Digest, Failure> {
    Ok(Digest::of(&std::fs::read(path).map_err(Failure::unexpected)?))
}
