//! stat.

use netdisk_model::EntryKind;

use super::{Context, Several};
use crate::failure::Failure;
use crate::output::local_time;

pub(super) async fn stat(context: Context<'_>, paths: Vec<String>) -> Result<(), Failure> {
    let mut several = Several::new(context.output, paths.len());
    for typed in &paths {
        let told = async {
            let path = context.remote.resolve(typed)?;
            let entry = context.remote.repeat(async |client| client.stat(&path).await).await?;
            let mut text = format!("path      {path}\nkind      {}\n", kind_word(entry.kind));
            if entry.kind == EntryKind::File {
                text.push_str(&format!("size      {} ({})\n", entry.size, indicatif::BinaryBytes(entry.size)));
            }
            text.push_str(&format!("modified  {}", local_time(entry.modified)));
            if let Some(version) = &entry.version {
                text.push_str(&format!("\nversion   {version}"));
            }
            context.output.lines(&text, &entry);
            Ok(())
        };
        several.took(told.await)?;
    }
    several.end()
}

fn kind_word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Other => "other (a link or device: not served)",
    }
}
