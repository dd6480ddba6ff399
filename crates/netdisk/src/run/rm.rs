//! rm.

use netdisk_client::ClientError;
use netdisk_protocol::FaultCode;
use serde_json::json;

use super::{Context, Several};
use crate::command::RmArgs;
use crate::failure::Failure;

pub(super) async fn rm(context: Context<'_>, args: RmArgs) -> Result<(), Failure> {
    let mut several = Several::new(context.output, args.paths.len());
    for typed in &args.paths {
        let removed = async {
            let path = context.remote.resolve(typed)?;
            match context.remote.client().await?.remove(&path, args.recursive).await {
                Err(ClientError::Fault(fault)) if args.force && fault.code == FaultCode::NotFound => return Ok(()),
                outcome => outcome?,
            }
            context.output.note(&format!("removed {path}"), json!({"event": "done", "verb": "removed", "path": path}));
            Ok(())
        };
        several.took(removed.await)?;
    }
    several.end()
}
