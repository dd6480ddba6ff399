//! A listing shown as it comes: a million entries need no more memory than ten.

use std::ops::ControlFlow;

use netdisk_model::{Entry, RemotePath};
use netdisk_protocol::{BodyPart, ConnectionError, Fault, FaultCode, Numbered, Reply, Request};
use serde::Deserialize;

use crate::client::{Client, unexpected};
use crate::error::ClientError;

/// What may come after a client wanted no more of a listing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Remainder {
    Reply(Reply),
    End(BodyPart),
}

impl Client {
    /// Shows what is in a directory to `visit`, part by part as it comes, in no promised order but each directory before
    /// what is in it; one level or the whole tree. Gives how many things the server could not name. `visit` may break off:
    /// the connection stays usable, and the rest is not read. An error of `visit` ends the walk and the connection.
    /// Not cancel safe.
    ///
    /// ```no_run
    /// # async fn example(client: &mut netdisk_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::ops::ControlFlow;
    ///
    /// let mut bytes = 0;
    /// client
    ///     .walk(&"/photos".parse()?, true, |entries| {
    ///         bytes += entries.iter().map(|entry| entry.size).sum::<u64>();
    ///         Ok(ControlFlow::Continue(()))
    ///     })
    ///     .await?;
    /// println!("{bytes} bytes");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The faults `not_found` and `not_a_directory`; a broken connection; a listing that is not whole.
    pub async fn walk(
        &mut self,
        path: &RemotePath,
        recursive: bool,
        mut visit: impl FnMut(Vec<Entry>) -> Result<ControlFlow<()>, ClientError>,
    ) -> Result<u64, ClientError> {
        let id = self.send(Request::List { path: path.clone().into(), recursive }).await?;
        let mut listed = 0;
        loop {
            match self.recv(id).await? {
                Reply::Entries { entries } => {
                    check(path, recursive, &entries)?;
                    listed += entries.len() as u64;
                    if visit(entries)?.is_break() {
                        self.want_no_more(id).await?;
                        return Ok(0);
                    }
                }
                Reply::End { count, skipped } if count == listed => return Ok(skipped),
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Asks for the end of a listing and reads on until it comes.
    async fn want_no_more(&mut self, id: u64) -> Result<(), ClientError> {
        let fault = Fault::new(FaultCode::Cancelled, "the client wants no more");
        self.connection().send(&Numbered::new(id, BodyPart::Abort(fault))).await?;
        loop {
            let rest: Numbered<Remainder> = self.connection().recv().await?.ok_or(ConnectionError::Closed)?;
            match rest.message {
                Remainder::Reply(Reply::Fault(fault)) if rest.id == 0 => {
                    return Err(ConnectionError::Refused(fault).into());
                }
                _ if rest.id != id => {
                    return Err(ClientError::Unexpected(format!("a reply to request {} instead of {id}", rest.id)));
                }
                Remainder::Reply(Reply::Entries { .. }) => {}
                Remainder::Reply(Reply::End { .. } | Reply::Fault(_)) | Remainder::End(BodyPart::Abort(_)) => {
                    return Ok(());
                }
                Remainder::Reply(other) => return Err(unexpected(&other)),
                Remainder::End(BodyPart::End { .. }) => {
                    return Err(ClientError::Unexpected("the end of a body in a listing".to_owned()));
                }
            }
        }
    }
}

/// What was not asked for is not believed, and a part with nothing in it could come for ever.
fn check(path: &RemotePath, recursive: bool, entries: &[Entry]) -> Result<(), ClientError> {
    if entries.is_empty() {
        return Err(ClientError::Unexpected("a part of a listing with nothing in it".to_owned()));
    }
    let strange = entries
        .iter()
        .find(|entry| !entry.path.is_within(path) || !recursive && entry.path.parent().as_ref() != Some(path));
    match strange {
        Some(entry) => Err(ClientError::Unexpected(format!("{:?} in a listing of {path:?}", entry.path))),
        None => Ok(()),
    }
}
