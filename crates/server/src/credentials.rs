//! What users do about their own passwords and tokens.

use netdisk_model::Password;
use netdisk_protocol::{Fault, FaultCode, Reply};

use crate::gate::Network;
use crate::handshake::{log_in, refused};
use crate::listener::Server;
use crate::session::Session;

impl Session {
    /// Sets another password. The old one is checked like that of a stranger: a session that was left open must not be
    /// a way to guess without end.
    pub(crate) async fn change_password(
        &mut self,
        server: &Server,
        old: Password,
        new: Password,
        keep: bool,
    ) -> Result<Reply, Fault> {
        let user = self.account.user.clone();
        let checked = log_in(server, Network::of(self.peer.ip()), user.clone(), old).await;
        checked.inspect_err(|fault| {
            tracing::info!(peer = %self.peer, %user, code = %fault.code, "password not changed");
        })?;
        server.accounts.set_password(&user, new).await.map_err(refused)?;
        tracing::info!(peer = %self.peer, %user, "password changed");
        let token = if keep { Some(server.accounts.issue_token(&user).await.map_err(refused)?) } else { None };
        self.tokens = token.iter().cloned().collect();
        Ok(Reply::Welcome { user, token })
    }

    pub(crate) async fn kept_logins(&self, server: &Server) -> Result<Reply, Fault> {
        let sessions = server.accounts.kept_logins(&self.account.user).await.map_err(refused)?;
        Ok(Reply::Sessions { sessions, current: self.tokens.first().map(netdisk_model::Token::id) })
    }

    pub(crate) async fn revoke(&self, server: &Server, session: &str) -> Result<Reply, Fault> {
        let user = &self.account.user;
        if !server.accounts.revoke_login(user, session).await.map_err(refused)? {
            return Err(Fault::new(FaultCode::NotFound, "there is no login of that name"));
        }
        tracing::info!(peer = %self.peer, %user, "login revoked");
        Ok(Reply::Done)
    }
}
