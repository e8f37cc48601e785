//! JSON-RPC over plain HTTP/1.1: one question, one connection, bounded in time and size.
//!
//! No TLS: the node is the operator's own, or stands behind a proxy of his that speaks it.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// How long an answer may take, and get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) time: Duration,
    /// Bytes. Read as JSON they take some thirty times as much memory at worst.
    pub(crate) len: usize,
}

/// Parts of a path that are shorter are no key, but words as `v2` and `rpc`.
const KEY_LEN_MIN: usize = 8;

/// Where a node answers: `http://host:port/path`.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointReject {
    /// It does not begin with `http://`.
    #[error("it must begin with http:// (for https, let a proxy of your own speak TLS)")]
    Scheme,
    /// No host, or characters that no host has.
    #[error("it names no host")]
    Host,
    /// Something that is no port.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// User and password, a fragment, or characters that must be escaped.
    #[error("only a host, a port, a path and a query are understood")]
    Extra,
}

impl Endpoint {
    /// Reads `http://host[:port][/path]`.
    ///
    /// # Errors
    /// [`EndpointReject`].
    pub fn parse(text: &str) -> Result<Self, EndpointReject> {
        let rest = text.strip_prefix("http://").ok_or(EndpointReject::Scheme)?;
        let (authority, path) = match rest.find(['/', '?']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if authority.contains('@') || path.contains('#') || !plain(authority) || !plain(path) {
            return Err(EndpointReject::Extra);
        }
        let (host, port) = split(authority).ok_or(EndpointReject::Host)?;
        let port = match port {
            None => 80,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(EndpointReject::Port),
            },
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{path}");
        if path.parse::<hyper::Uri>().is_err() {
            return Err(EndpointReject::Extra);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            path,
        })
    }

    /// What a node says, without what may be a key of ours: some repeat the path that they were asked at.
    fn without_keys(&self, said: &str) -> String {
        let parts = self.path.split(['/', '?', '&', '=', '#']);
        let keys = parts.filter(|part| part.len() >= KEY_LEN_MIN);
        keys.fold(said.to_owned(), |said, key| said.replace(key, "***"))
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The host, without the brackets that an IPv6 address has for its colons, and what stands where the port is.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    let Some(rest) = authority.strip_prefix('[') else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        return (!host.is_empty() && !host.contains(['[', ']'])).then_some((host, port));
    };
    let (host, after) = rest.split_once(']')?;
    // A link-local address has its interface behind it.
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    let _: std::net::Ipv6Addr = address.parse().ok()?;
    match after.strip_prefix(':') {
        None if !after.is_empty() => None,
        port => Some((host, port)),
    }
}

/// Host and port: a path may hold an access key, and is not shown.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.authority())
    }
}

/// As it is displayed: whoever holds one may be printed whole.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Endpoint({self})")
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The node cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The connection broke, or what came is no HTTP.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// Whoever asked was told to stop.
    #[error("no answer: stopped")]
    Ended,
    /// It took longer than the plan allows.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Another HTTP status than 200.
    #[error("HTTP status {0}")]
    Status(StatusCode),
    /// The answer is too long, or broke off.
    #[error("the answer was cut off or passes {0} bytes")]
    Body(usize),
    /// The address cannot be asked.
    #[error("its path or host cannot be written into a request")]
    Address,
    /// The answer is not what the method answers.
    #[error("unexpected answer: {0}")]
    Content(#[from] serde_json::Error),
    /// The node refuses.
    #[error("refused with code {code}: {message}")]
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// What it says, its beginning.
        message: String,
    },
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(default = "Option::default")]
    result: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

/// Asks `method` with `params` and reads the answer; `None` when it is `null`.
///
/// # Errors
/// [`RpcError`]; reading what has come aside, never later than after `bounds.time`.
pub(crate) async fn call<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &str,
    params: serde_json::Value,
    bounds: Bounds,
) -> Result<Option<T>, RpcError> {
    let limit = bounds.time;
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let body = tokio::time::timeout(limit, post(endpoint, body.to_string(), bounds.len))
        .await
        .map_err(|_| RpcError::Late(limit))??;
    let answer: Answer<T> = serde_json::from_slice(&body)?;
    match answer.error {
        Some(Refusal { code, message }) => Err(RpcError::Refused {
            code,
            message: endpoint.without_keys(&message).chars().take(200).collect(),
        }),
        None => Ok(answer.result),
    }
}

async fn post(endpoint: &Endpoint, body: String, len_max: usize) -> Result<Bytes, RpcError> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender, or with the runtime.
    let connection = AbortOnDrop(tokio::spawn(connection));
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = hyper::Method::POST;
    // The path was checked to be plain.
    *request.uri_mut() = endpoint.path.parse().map_err(|_| RpcError::Address)?;
    for (name, value) in [
        (header::HOST, endpoint.authority()),
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONNECTION, "close".to_owned()),
    ] {
        let value = value.parse().map_err(|_| RpcError::Address)?;
        request.headers_mut().insert(name, value);
    }
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(RpcError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), len_max);
    let body = body.collect().await.map_err(|_| RpcError::Body(len_max))?;
    drop(connection);
    Ok(body.to_bytes())
}

/// A task that does not outlive the question it belongs to.
struct AbortOnDrop(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a node that repeats what it was asked at brings no key of ours into a log.
    #[test]
    fn what_a_node_says_holds_no_key() {
        let endpoint = Endpoint::parse("http://node/v2/5ecretKey?api-key=0therKey&x=1");
        let endpoint = endpoint.expect("it is one");
        let said = endpoint.without_keys("no /v2/5ecretKey?api-key=0therKey for node");
        assert_eq!(said, "no /v2/***?api-key=*** for node");
    }

    #[test]
    fn endpoints_are_read_and_refused() {
        for (text, authority, path) in [
            ("http://127.0.0.1:8899", "127.0.0.1:8899", "/"),
            ("http://node", "node:80", "/"),
            ("http://node/?key=a", "node:80", "/?key=a"),
            ("http://node:1?key=a", "node:1", "/?key=a"),
            ("http://[::1]:8899/rpc", "[::1]:8899", "/rpc"),
            ("http://[::1]", "[::1]:80", "/"),
            ("http://[fe80::1%eth0]:1", "[fe80::1%eth0]:1", "/"),
        ] {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(endpoint.to_string(), authority, "{text}");
            assert_eq!(endpoint.path, path, "{text}");
            assert_eq!(format!("{endpoint:?}"), format!("Endpoint({authority})"));
        }
        for (text, reject) in [
            ("https://node", EndpointReject::Scheme),
            ("node:8899", EndpointReject::Scheme),
            ("http://", EndpointReject::Host),
            ("http://:80", EndpointReject::Host),
            ("http://[::1", EndpointReject::Host),
            ("http://::1]", EndpointReject::Host),
            ("http://node]:80", EndpointReject::Host),
            ("http://no[de", EndpointReject::Host),
            ("http://::1:80", EndpointReject::Host),
            ("http://[::1]80", EndpointReject::Host),
            ("http://[node]:80", EndpointReject::Host),
            ("http://[]:80", EndpointReject::Host),
            ("http://a:b:80", EndpointReject::Port),
            ("http://node:0", EndpointReject::Port),
            ("http://node:99999", EndpointReject::Port),
            ("http://node:", EndpointReject::Port),
            ("http://a:b@node", EndpointReject::Extra),
            ("http://no de", EndpointReject::Extra),
            ("http://node/\r\nX: y", EndpointReject::Extra),
        ] {
            assert_eq!(Endpoint::parse(text), Err(reject), "{text}");
        }
    }
}
