//! mkdir.

use serde_json::json;

use super::{Context, Several};
use crate::command::MkdirArgs;
use crate::failure::Failure;

pub(super) async fn mkdir(context: Context<'_>, args: MkdirArgs) -> Result<(), Failure> {
    let mut several = Several::new(context.output, args.paths.len());
    for typed in &args.paths {
        let made = async {
            let path = context.remote.resolve(typed)?;
            context.remote.client().await?.make_directory(&path, args.parents).await?;
            context.output.note(&format!("made {path}"), json!({"event": "done", "verb": "made", "path": path}));
            Ok(())
        };
        several.took(made.await)?;
    }
    several.end()
}
