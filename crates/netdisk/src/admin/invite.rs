//! `netdisk admin invite`: a code with which somebody may make one account.

use std::path::Path;

use netdisk_storage::{Accounts as _, Sharing};
use serde_json::json;

use super::{failure, open};
use crate::failure::Failure;
use crate::output::Output;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Makes a code and prints it, once: the store keeps only its hash.
pub(super) fn run(data: &Path, days: u16, output: &Output) -> Result<(), Failure> {
    let store = open(data, Sharing::Beside)?;
    let invitation = crate::runtime()?.block_on(store.invite(i64::from(days) * DAY_MS)).map_err(failure)?;
    let code = invitation.expose();
    output.result(code, json!({"event": "done", "verb": "invited", "invitation": code, "days": days}));
    Ok(())
}
