//! Bodies, in and out of the mini server.

use netdisk_model::{Digest, Entry, RemotePath, Version};
use netdisk_protocol::limits::DATA_LEN_MAX;
use netdisk_protocol::{BodyPart, BodyStart, Fault, FaultCode, Numbered, Reply};

use super::Quirk;
use super::session::is_abort;
use super::wire::{Broken, Frame, Wire};
use crate::limits::MINI_FILE_LEN_MAX;

/// What a client says of its upload.
pub(super) struct Declared {
    pub(super) size: Option<u64>,
    pub(super) modified: Option<i64>,
    pub(super) start: BodyStart,
}

fn fault(code: FaultCode) -> Fault {
    Fault::new(code, code.meaning())
}

/// Receives a body, or refuses it; gives the last reply.
pub(super) async fn upload(
    wire: &mut Wire<'_>,
    user: &str,
    id: u64,
    wanted: Result<RemotePath, Fault>,
    declared: Declared,
) -> Result<Result<Reply, Fault>, Broken> {
    let path = match (wanted, declared.start) {
        (Ok(path), BodyStart::Wait) => {
            wire.send(id, Reply::Ready { offset: 0, entry: None, digest: None, known: false }).await?;
            Ok(path)
        }
        (Ok(path), BodyStart::Now) => Ok(path),
        (_, BodyStart::Parts) => return Err(Broken::Protocol("parts, which nobody offered".to_owned())),
        (Err(fault), BodyStart::Wait) => return Ok(Err(fault)),
        (Err(fault), BodyStart::Now) => {
            wire.send(id, BodyPart::Abort(fault.clone())).await?;
            Err(fault)
        }
    };
    let mut content = Vec::new();
    let mut aborted = path.as_ref().err().cloned();
    loop {
        let frame = match wire.recv().await {
            Ok(Some(frame)) => frame,
            cut => {
                if let (true, Ok(path)) = (wire.shared.has(Quirk::StoresHalves), path) {
                    wire.shared.store.with(user, |account| account.put(&path, content, declared.modified));
                }
                return Err(cut.err().unwrap_or(Broken::Gone));
            }
        };
        match frame {
            Frame::Heartbeat if wire.shared.has(Quirk::FearsHeartbeatsInBodies) => {
                return Err(Broken::Protocol("an empty frame in a body".to_owned()));
            }
            Frame::Heartbeat => {}
            Frame::Data(data) => {
                let refusal = refusal(wire, content.len() + data.len(), declared.size);
                content.extend(data);
                if let (Some(fault), None) = (refusal, &aborted) {
                    wire.send(id, BodyPart::Abort(fault.clone())).await?;
                    aborted = Some(fault);
                }
                if aborted.is_some() {
                    content.clear();
                }
            }
            Frame::Message(message) => match serde_json::from_value::<Numbered<BodyPart>>(message.clone()) {
                Ok(part) if part.id == id => {
                    let received = Received { path, content, aborted, last: part.message };
                    return finish(wire, user, received, &declared);
                }
                // It crossed the end of its own body.
                _ if is_abort(&message) => {}
                _ => return Err(Broken::Protocol("no part of this body".to_owned())),
            },
        }
    }
}

/// Why no more of a body is wanted.
fn refusal(wire: &Wire<'_>, len: usize, declared: Option<u64>) -> Option<Fault> {
    if wire.shared.has(Quirk::AbortsUploads) {
        Some(fault(FaultCode::Full))
    } else if declared.is_some_and(|declared| len as u64 > declared) {
        Some(fault(FaultCode::SizeMismatch))
    } else {
        (len > MINI_FILE_LEN_MAX).then(|| fault(FaultCode::Full))
    }
}

/// A body, up to its last message.
struct Received {
    path: Result<RemotePath, Fault>,
    content: Vec<u8>,
    aborted: Option<Fault>,
    last: BodyPart,
}

fn finish(
    wire: &Wire<'_>,
    user: &str,
    received: Received,
    declared: &Declared,
) -> Result<Result<Reply, Fault>, Broken> {
    let Received { path, content, aborted, last } = received;
    let claimed = match last {
        BodyPart::End { digest } => digest,
        BodyPart::Abort(_) if wire.shared.has(Quirk::SilentAfterAbort) => return Err(Broken::Gone),
        BodyPart::Abort(fault) => return Ok(Err(aborted.unwrap_or(fault))),
    };
    if let Some(fault) = aborted {
        return Ok(Err(fault));
    }
    let path = match path {
        Ok(path) => path,
        Err(fault) => return Ok(Err(fault)),
    };
    let (size, digest) = (content.len() as u64, Digest::of(&content));
    if declared.size.is_some_and(|declared| declared != size) {
        return Ok(Err(fault(FaultCode::SizeMismatch)));
    }
    if claimed != digest && !wire.shared.has(Quirk::IgnoresDigests) {
        return Ok(Err(fault(FaultCode::DigestMismatch)));
    }
    let version = wire.shared.store.with(user, |account| account.put(&path, content, declared.modified));
    Ok(Ok(Reply::Stored { size, digest, version }))
}

/// Sends a file from where the client asks for.
pub(super) async fn download(
    wire: &mut Wire<'_>,
    id: u64,
    (content, entry): (Vec<u8>, Entry),
    offset: u64,
    version: Option<Version>,
) -> Result<(), Broken> {
    let is_other = version.is_some() && version != entry.version;
    let offset = if is_other { 0 } else { offset };
    let Some(rest) = usize::try_from(offset).ok().and_then(|offset| content.get(offset..)) else {
        return wire.send(id, Reply::Fault(fault(FaultCode::Changed))).await;
    };
    wire.send(id, Reply::Ready { offset, entry: Some(entry), digest: None, known: false }).await?;
    let frame_len = if wire.shared.has(Quirk::SmallDataFrames) { 7 } else { DATA_LEN_MAX };
    let mut sent = 0;
    for data in rest.chunks(frame_len) {
        if sent * 2 >= rest.len() && wire.shared.has(Quirk::CutsDownloads) {
            wire.flush().await?;
            return Err(Broken::Gone);
        }
        if sent * 2 >= rest.len() && wire.shared.has(Quirk::AbortsDownloads) {
            return wire.send(id, BodyPart::Abort(fault(FaultCode::ReadFailed))).await;
        }
        if wire.shared.has(Quirk::LeavesAtHalfClose) && wire.has_end_ahead() {
            return Err(Broken::Gone);
        }
        wire.send_data(data).await?;
        if wire.shared.has(Quirk::SmallDataFrames) {
            wire.send_data(&[]).await?;
        }
        sent += data.len();
    }
    let digest = if wire.shared.has(Quirk::LiesAboutDigests) { Digest::of(b"other") } else { Digest::of(&content) };
    wire.send(id, BodyPart::End { digest }).await
}
