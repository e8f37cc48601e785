//! Which endpoints a token may be carried to, and how their connections are kept warm.

use std::net::IpAddr;
use std::time::Duration;

use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;

/// Why an endpoint is not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EndpointError {
    /// Not a URI of the form `http://host:port` or `https://host:port`.
    #[error("endpoint {endpoint:?} is not http(s)://host[:port]")]
    Bad {
        /// As it was given.
        endpoint: String,
    },
    /// It asks for TLS, which this build does not have.
    #[error("endpoint {endpoint:?} needs TLS: build with the feature `tls`")]
    TlsNotBuilt {
        /// As it was given.
        endpoint: String,
    },
    /// Plain text to another machine would show tokens to everyone on the way.
    #[error(
        "endpoint {endpoint:?} is plain text and not a loopback address: use https, or set plaintext_remote"
    )]
    PlaintextRefused {
        /// As it was given.
        endpoint: String,
    },
}

/// Checks `text` and fills in what keeps its connection warm.
///
/// An idle connection must neither be dropped by a middlebox nor be found dead by the next call: HTTP/2 pings go
/// out every `keep_alive` also while idle.
///
/// # Errors
/// [`EndpointError`] says what is wrong with `text`.
pub fn endpoint(
    text: &str,
    plaintext_remote: bool,
    connect_timeout: Duration,
    keep_alive: Duration,
) -> Result<Endpoint, EndpointError> {
    let given = || text.to_owned();
    let bad = || EndpointError::Bad { endpoint: given() };
    let uri: Uri = text.parse().map_err(|_| bad())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") if plaintext_remote || is_loopback(host) => false,
        Some("http") => return Err(EndpointError::PlaintextRefused { endpoint: given() }),
        _ => return Err(bad()),
    };
    let endpoint = Endpoint::from(uri);
    let endpoint = if secure {
        with_tls(endpoint, text)?
    } else {
        endpoint
    };
    Ok(endpoint
        .connect_timeout(connect_timeout)
        .http2_keep_alive_interval(keep_alive)
        .keep_alive_timeout(keep_alive)
        .keep_alive_while_idle(true))
}

#[cfg(feature = "tls")]
fn with_tls(endpoint: Endpoint, text: &str) -> Result<Endpoint, EndpointError> {
    let roots = tonic::transport::ClientTlsConfig::new().with_native_roots();
    endpoint.tls_config(roots).map_err(|_| EndpointError::Bad {
        endpoint: text.to_owned(),
    })
}

#[cfg(not(feature = "tls"))]
fn with_tls(_: Endpoint, text: &str) -> Result<Endpoint, EndpointError> {
    Err(EndpointError::TlsNotBuilt {
        endpoint: text.to_owned(),
    })
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_would_leak_or_cannot_work_are_refused() {
        let take =
            |text, remote| endpoint(text, remote, Duration::from_secs(1), Duration::from_secs(1));
        for text in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
            assert!(take(text, false).is_ok(), "{text}");
        }
        for text in ["http://10.0.0.1:1", "http://localhost.evil.example:1"] {
            let refused = take(text, false);
            assert!(
                matches!(refused, Err(EndpointError::PlaintextRefused { .. })),
                "{text}"
            );
        }
        assert!(take("http://10.0.0.1:1", true).is_ok());
        for text in ["", "127.0.0.1:1", "/path", "ftp://127.0.0.1:1", "http://"] {
            let refused = take(text, true);
            assert!(matches!(refused, Err(EndpointError::Bad { .. })), "{text}");
        }
        let secure = take("https://ny.example", false);
        if cfg!(feature = "tls") {
            assert!(secure.is_ok(), "{secure:?}");
        } else {
            assert!(
                matches!(secure, Err(EndpointError::TlsNotBuilt { .. })),
                "{secure:?}"
            );
        }
    }
}
