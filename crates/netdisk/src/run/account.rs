//! register, login, logout, whoami, quota.

use indicatif::BinaryBytes;
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

pub(super) async fn quota(context: Context<'_>) -> Result<(), Failure> {
    let usage = context.remote.client().await?.quota().await?;
    let of = |used: String, limit: Option<String>| match limit {
        Some(limit) => format!("{used} of {limit}"),
        None => format!("{used}, no limit"),
    };
    let bytes = |bytes: u64| BinaryBytes(bytes).to_string();
    context.output.result(
        &format!("space  {}", of(bytes(usage.bytes), usage.limits.bytes.map(bytes))),
        json!({
            "event": "done", "bytes": usage.bytes, "files": usage.files,
            "bytes_max": usage.limits.bytes, "files_max": usage.limits.files,
        }),
    );
    context
        .output
        .text(&format!("files  {}", of(usage.files.to_string(), usage.limits.files.map(|max| max.to_string()))));
    Ok(())
}
