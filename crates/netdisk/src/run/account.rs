//! register, login, logout, whoami.

use netdisk_model::UserName;
use serde_json::json;

use super::Context;
use crate::failure::Failure;

pub(super) async fn register(context: Context<'_>, name: Option<UserName>) -> Result<(), Failure> {
    let user = context.remote.register(name).await?.clone();
    let text = format!("registered and logged in as {user}");
    context.output.note(&text, json!({"event": "done", "verb": "registered", "user": user}));
    Ok(())
}

pub(super) async fn log_in(context: Context<'_>, name: Option<UserName>) -> Result<(), Failure> {
    let user = context.remote.log_in(name).await?.clone();
    let text = format!("logged in as {user}");
    context.output.note(&text, json!({"event": "done", "verb": "logged in", "user": user}));
    Ok(())
}

pub(super) async fn log_out(context: Context<'_>) -> Result<(), Failure> {
    let user = context.remote.log_out().await?;
    let text = format!("logged out {user}");
    context.output.note(&text, json!({"event": "done", "verb": "logged out", "user": user}));
    Ok(())
}

pub(super) async fn whoami(context: Context<'_>) -> Result<(), Failure> {
    let server = context.remote.endpoint().to_string();
    let user = context.remote.client().await?.whoami().await?;
    context.output.result(user.as_str(), json!({"event": "done", "user": user, "server": server}));
    Ok(())
}
