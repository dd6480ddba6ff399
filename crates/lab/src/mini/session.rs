//! One connection to the mini server: hello, login, requests.

use netdisk_model::{Digest, Password, RemotePath, Token, UserName};
use netdisk_protocol::{
    Admission, AnnouncedLimits, BodyPart, Claim, Fault, FaultCode, Greeting, Numbered, Proof, Reply, Request, VERSION,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

use super::body;
use super::wire::{Broken, Frame, Wire};
use super::{Quirk, Shared};

/// After so many refused logins the connection is closed: PROTOCOL.md, section 4.
const REFUSALS_MAX: u32 = 5;

pub(super) async fn serve(stream: TcpStream, shared: &Shared) {
    // Without it every small reply would wait for the acknowledgement of the one before; and a socket that cannot be
    // set so works all the same.
    drop(stream.set_nodelay(true));
    let mut wire = Wire::new(stream, shared);
    let ended = converse(&mut wire).await.err();
    wire.close(ended).await;
}

async fn converse(wire: &mut Wire<'_>) -> Result<(), Broken> {
    let Some(Greeting::Hello { version, .. }) = recv(wire).await? else { return Ok(()) };
    if version < VERSION {
        let fault = Fault::new(FaultCode::UnsupportedVersion, FaultCode::UnsupportedVersion.meaning());
        return wire.send(0, Reply::Fault(fault)).await;
    }
    let hello = Greeting::Hello {
        version: VERSION,
        software: "netdisk-lab".to_owned(),
        limits: Some(AnnouncedLimits::OURS),
        features: Vec::new(),
    };
    wire.send_value(serde_json::to_value(hello).map_err(|_| Broken::Gone)?).await?;
    let Some((user, token)) = log_in(wire).await? else { return Ok(()) };
    let mut served = 0;
    while let Some(request) = recv::<Numbered<Request>>(wire).await? {
        served += 1;
        if served > 500 && wire.shared.has(Quirk::Tires) {
            return Err(Broken::Gone);
        }
        let (id, request) = request.of_request().map_err(|error| Broken::Protocol(error.to_string()))?;
        let is_last = request == Request::Logout;
        // Done before it is said: whoever reads the reply may try the token at once.
        if let (true, Some(token)) = (is_last, &token) {
            wire.shared.store.with(&user, |account| account.tokens.retain(|kept| kept != token));
        }
        answer(wire, &user, id, request).await?;
        if is_last {
            return Ok(());
        }
    }
    Ok(())
}

/// The next message, which must be a `T`; `None` at the end. Heartbeats and late aborts are skipped.
async fn recv<T: DeserializeOwned>(wire: &mut Wire<'_>) -> Result<Option<T>, Broken> {
    loop {
        let message = match wire.recv().await? {
            None => return Ok(None),
            Some(Frame::Heartbeat) if wire.shared.has(Quirk::FearsHeartbeats) => {
                return Err(Broken::Protocol("an empty frame".to_owned()));
            }
            Some(Frame::Heartbeat) => continue,
            Some(Frame::Data(_)) => return Err(Broken::Protocol("file bytes where no body is due".to_owned())),
            Some(Frame::Message(message)) => message,
        };
        if !is_abort(&message) {
            return serde_json::from_value(message).map(Some).map_err(|error| Broken::Protocol(error.to_string()));
        }
    }
}

pub(super) fn is_abort(message: &Value) -> bool {
    matches!(serde_json::from_value(message.clone()), Ok(Numbered { message: BodyPart::Abort(_), .. }))
}

/// Lets somebody in: the name, and the token that this login gave or used.
async fn log_in(wire: &mut Wire<'_>) -> Result<Option<(String, Option<String>)>, Broken> {
    for _ in 0..REFUSALS_MAX {
        let Some(admission) = recv::<Numbered<Admission>>(wire).await? else { return Ok(None) };
        let (id, admission) = admission.of_request().map_err(|error| Broken::Protocol(error.to_string()))?;
        match admit(wire.shared, admission) {
            Ok((user, given, used)) => {
                let welcome = Reply::Welcome { user: user.clone(), token: given.clone() };
                wire.admitted = true;
                wire.send(id, welcome).await?;
                let token = given.or(used).map(|token| token.expose().to_owned());
                return Ok(Some((user.to_string(), token)));
            }
            Err(fault) => wire.send(id, Reply::Fault(fault)).await?,
        }
    }
    Ok(None)
}

type Admitted = (UserName, Option<Token>, Option<Token>);

fn admit(shared: &Shared, admission: Admission) -> Result<Admitted, Fault> {
    let fault = |code: FaultCode| Fault::new(code, code.meaning());
    let mut accounts = shared.store.accounts();
    let (user, keep, used) = match admission {
        Admission::Register { user, password, keep, .. } => {
            let user = user.check().map_err(|_| fault(FaultCode::BadName))?;
            password.check().map_err(|_| fault(FaultCode::BadPassword))?;
            if accounts.contains_key(user.as_str()) {
                return Err(fault(FaultCode::NameTaken));
            }
            let account = accounts.entry(user.to_string()).or_default();
            account.password = password.expose().to_owned();
            (user, keep, None)
        }
        Admission::Login { user, proof, keep } => {
            let user = user.check().map_err(|_| fault(FaultCode::LoginRefused))?;
            let known = accounts.get(user.as_str());
            if known.is_none() && shared.has(Quirk::TellsUsersApart) {
                return Err(Fault::new(FaultCode::NotFound, format!("there is no user {user}")));
            }
            let fits = known.is_some_and(|account| match &proof {
                Proof::Password(password) => *password == Password::new(account.password.clone()),
                Proof::Token(token) => account.tokens.iter().any(|kept| kept == token.expose()),
            });
            if !fits {
                return Err(fault(FaultCode::LoginRefused));
            }
            let used = if let Proof::Token(token) = proof { Some(token) } else { None };
            (user, keep, used)
        }
    };
    let token = keep.then(|| {
        // A hash of what is unique in here: this server guards nothing, and a seedless lab needs no secret.
        let account = accounts.entry(user.to_string()).or_default();
        let digest = Digest::of(format!("{user} {}", account.tokens.len()).as_bytes());
        let token = Token::from_random(digest.as_bytes());
        account.tokens.push(token.expose().to_owned());
        token
    });
    Ok((user, token, used))
}

async fn answer(wire: &mut Wire<'_>, user: &str, id: u64, request: Request) -> Result<(), Broken> {
    let outcome = match request {
        Request::Upload { path, size, modified, create, body: start, .. } => {
            let checked = checked(wire, path)?;
            let wanted = checked.and_then(|path| {
                wire.shared.store.with(user, |account| account.check_upload(&path, create)).map(|()| path)
            });
            body::upload(wire, user, id, wanted, body::Declared { size, modified, start }).await?
        }
        Request::Download { path, offset, version, .. } => {
            let checked = checked(wire, path)?;
            let found = checked.and_then(|path| wire.shared.store.with(user, |account| account.file(&path)));
            match found {
                Ok(file) => return body::download(wire, id, file, offset, version).await,
                Err(fault) => Err(fault),
            }
        }
        Request::List { path, recursive } => {
            let checked = checked(wire, path)?;
            let listed =
                checked.and_then(|path| wire.shared.store.with(user, |account| account.list(&path, recursive)));
            match listed {
                Ok(entries) => return send_listing(wire, id, entries).await,
                Err(fault) => Err(fault),
            }
        }
        request => small(wire, user, request)?,
    };
    wire.send(id, outcome.unwrap_or_else(Reply::Fault)).await
}

/// Requests that one reply answers.
fn small(wire: &Wire<'_>, user: &str, request: Request) -> Result<Result<Reply, Fault>, Broken> {
    let store = &wire.shared.store;
    Ok(match request {
        Request::Whoami => match user.parse() {
            Ok(user) => Ok(Reply::Account { user }),
            Err(_) => return Err(Broken::Gone),
        },
        Request::Stat { path } => checked(wire, path)?
            .and_then(|path| store.with(user, |account| account.stat(&path)).map(|entry| Reply::Entry { entry })),
        Request::Mkdir { path, parents } => checked(wire, path)?
            .and_then(|path| store.with(user, |account| account.make_directory(&path, parents)).map(|()| Reply::Done)),
        Request::Remove { path, recursive } => checked(wire, path)?
            .and_then(|path| store.with(user, |account| account.remove(&path, recursive)).map(|()| Reply::Done)),
        Request::Rename { from, to, replace } => match (checked(wire, from)?, checked(wire, to)?) {
            (Ok(from), Ok(to)) => store.with(user, |account| account.rename(&from, &to, replace)).map(|()| Reply::Done),
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
        },
        Request::Logout | Request::List { .. } | Request::Upload { .. } | Request::Download { .. } => Ok(Reply::Done),
        // Of accounts, quotas and copies it has none.
        _ => return Err(Broken::Protocol("a request that a server so small does not know".to_owned())),
    })
}

fn checked(wire: &Wire<'_>, path: Claim<RemotePath>) -> Result<Result<RemotePath, Fault>, Broken> {
    match path.check() {
        Ok(path) => Ok(Ok(path)),
        Err(error) if wire.shared.has(Quirk::CutsAtBadPaths) => Err(Broken::Protocol(error.to_string())),
        Err(error) => Ok(Err(Fault::new(FaultCode::BadPath, error.to_string()))),
    }
}

async fn send_listing(wire: &mut Wire<'_>, id: u64, entries: Vec<netdisk_model::Entry>) -> Result<(), Broken> {
    let mut count = entries.len() as u64;
    let batch = if wire.shared.has(Quirk::SmallListings) { 1 } else { 100 };
    for entries in entries.chunks(batch) {
        wire.send(id, Reply::Entries { entries: entries.to_vec() }).await?;
    }
    if wire.shared.has(Quirk::Miscounts) {
        count += 1;
    }
    wire.send(id, Reply::End { count, skipped: 0 }).await
}
