//! Where a server is.

use std::fmt;
use std::str::FromStr;

/// The port of a netdisk server.
const DEFAULT_PORT: u16 = 8001;

/// Where a server is: a name or address, and a port. In text `HOST`, `HOST:PORT`, `[::1]` or `[::1]:PORT`.
///
/// ```
/// use netdisk_client::Endpoint;
///
/// let endpoint: Endpoint = "files.example.org".parse()?;
/// assert_eq!(endpoint.to_string(), "files.example.org:8001");
/// # Ok::<(), netdisk_client::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why a text is no [`Endpoint`].
///
/// ```
/// use netdisk_client::{Endpoint, EndpointError};
///
/// assert_eq!("::1".parse::<Endpoint>(), Err(EndpointError));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a server is HOST or HOST:PORT; an IPv6 address stands in brackets")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(EndpointError)?;
                match rest.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if rest.is_empty() => (host, None),
                    None => return Err(EndpointError),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map_or(Ok(DEFAULT_PORT), |port| port.parse().map_err(|_| EndpointError))?;
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control() || "[]".contains(c)) {
            return Err(EndpointError);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(out, "[{host}]:{port}") } else { write!(out, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_print_as_they_parse() {
        for (text, printed) in [
            ("localhost", "localhost:8001"),
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("[::1]", "[::1]:8001"),
            ("[fe80::1]:9", "[fe80::1]:9"),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!(endpoint.to_string(), printed);
            assert_eq!(printed.parse(), Ok(endpoint));
        }
        for wrong in ["", ":9", "host:", "host:x", "host:70000", "::1", "[::1", "[::1]9", "a b", "[[]", "a]"] {
            assert_eq!(wrong.parse::<Endpoint>(), Err(EndpointError), "{wrong}");
        }
    }
}
