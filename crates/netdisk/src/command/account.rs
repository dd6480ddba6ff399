//! Arguments of the commands about accounts and logins.

use clap::Args;
use netdisk_model::{Token, UserName};

/// Whose new account.
#[derive(Debug, Clone, Args)]
pub(crate) struct RegisterArgs {
    /// The user
    pub(crate) name: Option<UserName>,
    /// The invitation, where the server asks for one; or set NETDISK_INVITATION
    #[arg(long, value_name = "CODE", env = "NETDISK_INVITATION", hide_env_values = true)]
    pub(crate) invitation: Option<Token>,
}

/// Whose account.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhoArgs {
    /// The user
    pub(crate) name: Option<UserName>,
}

/// What to do about kept logins.
#[derive(Debug, Clone, Args)]
pub(crate) struct SessionsArgs {
    /// Make this one worthless
    #[arg(long, value_name = "ID")]
    pub(crate) revoke: Option<String>,
}
