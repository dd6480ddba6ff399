//! Files on standard output.

use std::io;

use netdisk_client::{ClientError, GetTarget, OnExisting, Unobserved};

use super::super::{Context, Several};
use crate::failure::Failure;

pub(in super::super) async fn cat(mut context: Context<'_>, paths: Vec<String>) -> Result<(), Failure> {
    cat_all(&mut context, &paths).await
}

pub(super) async fn cat_all(context: &mut Context<'_>, paths: &[String]) -> Result<(), Failure> {
    if context.output.is_json() {
        return Err(Failure::usage("a file on standard output leaves no room for --json"));
    }
    let mut several = Several::new(context.output, paths.len());
    for typed in paths {
        let printed = async {
            let path = context.remote.resolve(typed)?;
            let client = context.remote.client().await?;
            let target = GetTarget::Stream(Box::new(tokio::io::stdout()));
            let cancel = context.cancel;
            match netdisk_client::get(client, &path, target, OnExisting::Refuse, &Unobserved, cancel).await {
                // A reader that has gone (`| head`) has seen enough.
                Err(ClientError::Local { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                Err(ClientError::Local { error, .. }) => Err(Failure::output(error)),
                outcome => outcome.map(drop).map_err(Failure::about(&path)),
            }
        };
        several.took(printed.await)?;
    }
    several.end()
}
