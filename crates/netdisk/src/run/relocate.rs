//! mv and cp: two ways to give a thing another place on the server.

use netdisk_model::{EntryKind, RemotePath};
use serde_json::json;

use super::{Context, Several, join};
use crate::command::{CpArgs, MvArgs};
use crate::failure::Failure;

/// Where things go that are moved or copied.
struct Target {
    path: RemotePath,
    /// Into it, each under its own name.
    is_directory: bool,
}

impl Target {
    async fn new(context: &mut Context<'_>, typed: &str, sources: usize) -> Result<Self, Failure> {
        let path = context.remote.resolve(typed)?;
        let is_directory = super::transfer::remote_kind(context, &path).await? == Some(EntryKind::Directory)
            || typed.ends_with('/')
            || sources > 1;
        Ok(Self { path, is_directory })
    }

    fn of(&self, from: &RemotePath) -> Result<RemotePath, Failure> {
        if self.is_directory { join(&self.path, from.name().unwrap_or_default()) } else { Ok(self.path.clone()) }
    }
}

pub(super) async fn cp(mut context: Context<'_>, args: CpArgs) -> Result<(), Failure> {
    let Some((target, sources)) = args.paths.split_last() else { return Ok(()) };
    let target = Target::new(&mut context, target, sources.len()).await?;
    let mut several = Several::new(context.output, sources.len());
    for typed in sources {
        let copied = async {
            let from = context.remote.resolve(typed)?;
            let to = target.of(&from)?;
            let client = context.remote.client().await?;
            if !args.recursive && client.stat(&from).await?.kind == EntryKind::Directory {
                return Err(Failure::Refused(format!(
                    "{from} is a directory; `cp -r` copies it with all that is in it"
                )));
            }
            client.copy(&from, &to, args.force).await?;
            let event = json!({"event": "done", "verb": "copied", "from": from, "to": to});
            context.output.note(&format!("copied {from} to {to}"), event);
            Ok(())
        };
        several.took(copied.await)?;
    }
    several.end()
}

pub(super) async fn mv(mut context: Context<'_>, args: MvArgs) -> Result<(), Failure> {
    let Some((target, sources)) = args.paths.split_last() else { return Ok(()) };
    let target = Target::new(&mut context, target, sources.len()).await?;
    let mut several = Several::new(context.output, sources.len());
    for typed in sources {
        let moved = async {
            let from = context.remote.resolve(typed)?;
            let to = target.of(&from)?;
            context.remote.client().await?.rename(&from, &to, args.force).await?;
            let event = json!({"event": "done", "verb": "moved", "from": from, "to": to});
            context.output.note(&format!("moved {from} to {to}"), event);
            Ok(())
        };
        several.took(moved.await)?;
    }
    several.end()
}
