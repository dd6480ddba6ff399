//! What stands before the cursor: who, and where.

use crate::escape::escape;
use crate::remote::Remote;

pub(super) fn prompt(remote: &Remote) -> String {
    match remote.user() {
        Some(user) => format!("{user}@{}:{}> ", remote.endpoint(), escape(remote.directory.as_str())),
        None => format!("{}> ", remote.endpoint()),
    }
}
