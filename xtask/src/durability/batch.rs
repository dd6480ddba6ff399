//! Small uploads that wait for nothing: pipelined over one connection, each acknowledged for itself.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use netdisk_client::{Client, ClientError, End, Item, PutRoot, Transfers, TransfersObserver};
use netdisk_model::RemotePath;
use netdisk_protocol::Fault;
use tokio_util::sync::CancellationToken;

use super::operation::Content;

/// What came of each.
#[derive(Debug, Default)]
struct Ends(Mutex<(Vec<RemotePath>, Option<ClientError>)>);

impl TransfersObserver for Ends {
    fn ended(&self, item: Item<'_>, end: &End) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match end {
            End::Done(_) => ends.0.push(item.remote.clone()),
            End::Made => {}
            End::LeftOut(why) => ends.1 = Some(ClientError::Unexpected(why.to_string())),
            End::Failed(error) => {
                ends.1.get_or_insert_with(|| match error.fault_code() {
                    Some(code) => Fault::new(code, error.to_string()).into(),
                    None => ClientError::Unexpected(error.to_string()),
                });
            }
        }
    }
}

/// Stores them all; gives which were acknowledged, and why not all of them were.
pub(super) async fn put_all(
    client: &mut Client,
    puts: &[(RemotePath, Content)],
    cancel: &CancellationToken,
) -> (Vec<RemotePath>, Result<(), ClientError>) {
    let ends = Arc::new(Ends::default());
    let outcome = match write_all(puts) {
        Ok((_folder, roots)) => {
            let transfers = Transfers::new(client).connections(1).observer(ends.clone()).cancel(cancel.clone());
            transfers.put(roots).await
        }
        Err(error) => Err(ClientError::Local { path: std::env::temp_dir(), error }),
    };
    let (done, failed) = std::mem::take(&mut *ends.0.lock().unwrap_or_else(PoisonError::into_inner));
    let outcome = match (outcome, failed) {
        (Err(error), _) | (Ok(_), Some(error)) => Err(error),
        (Ok(summary), None) if summary.files == puts.len() as u64 => Ok(()),
        (Ok(summary), None) => Err(ClientError::Unexpected(format!("{summary:?} of {} files", puts.len()))),
    };
    (done, outcome)
}

/// Writes the contents to local files, for as long as their folder is held.
fn write_all(puts: &[(RemotePath, Content)]) -> std::io::Result<(tempfile::TempDir, Vec<PutRoot>)> {
    let folder = tempfile::tempdir()?;
    let write = |(number, (remote, content)): (usize, &(RemotePath, Content))| {
        let local = Path::new(folder.path()).join(number.to_string());
        std::fs::write(&local, content.bytes())?;
        Ok(PutRoot { local, remote: remote.clone() })
    };
    let roots = puts.iter().enumerate().map(write).collect::<std::io::Result<_>>()?;
    Ok((folder, roots))
}
