//! register, login, logout, passwd, sessions, whoami, quota.

use indicatif::BinaryBytes;
use netdisk_model::UserName;
use serde_json::json;

use super::Context;
use crate::command::{RegisterArgs, SessionsArgs};
use crate::failure::Failure;
use crate::output::local_time;

pub(super) async fn register(context: Context<'_>, args: RegisterArgs) -> Result<(), Failure> {
    let user = context.remote.register(args.name, args.invitation).await?.clone();
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

pub(super) async fn passwd(context: Context<'_>) -> Result<(), Failure> {
    let user = context.remote.change_password().await?.clone();
    let text = format!("changed the password of {user}; other kept logins are worthless now");
    context.output.note(&text, json!({"event": "done", "verb": "changed password", "user": user}));
    Ok(())
}

pub(super) async fn sessions(context: Context<'_>, args: SessionsArgs) -> Result<(), Failure> {
    if let Some(id) = args.revoke {
        context.remote.client().await?.revoke(&id).await?;
        context.output.note(&format!("revoked {id}"), json!({"event": "done", "verb": "revoked", "session": id}));
        return Ok(());
    }
    let (kept, current) = context.remote.repeat(async |client| client.kept_logins().await).await?;
    for login in kept {
        let is_current = current.as_ref() == Some(&login.id);
        let [created, used, expires] = [login.created, login.used, login.expires].map(local_time);
        let mark = if is_current { "  this one" } else { "" };
        let text = format!("{}  since {created}  used {used}  until {expires}{mark}", login.id);
        let event = json!({
            "event": "session", "id": login.id, "created": login.created, "used": login.used,
            "expires": login.expires, "current": is_current,
        });
        context.output.result(&text, event);
    }
    Ok(())
}

pub(super) async fn whoami(context: Context<'_>) -> Result<(), Failure> {
    let server = context.remote.endpoint().to_string();
    let user = context.remote.repeat(async |client| client.whoami().await).await?;
    context.output.result(user.as_str(), json!({"event": "done", "user": user, "server": server}));
    Ok(())
}

pub(super) async fn quota(context: Context<'_>) -> Result<(), Failure> {
    let usage = context.remote.repeat(async |client| client.quota().await).await?;
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
