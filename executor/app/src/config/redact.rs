//! URLs as they may be shown: who is asked, and nothing that could be a key.
//!
//! Providers put keys into the user part, the path or the query, so all three go, whatever they hold; and so does a whole
//! text that cannot be taken apart for sure.

use std::net::SocketAddr;

/// What stands where something was left out.
const LEFT_OUT: &str = "***";
/// What a URL here begins with. Whatever else stands before a colon and two slashes may be part of a key.
const SCHEMES: [&str; 3] = ["http", "https", "tcp"];
/// Keys of the configuration whose value is a URL.
const URL_KEYS: [&str; 4] = ["rpc", "leaders_rpc", "endpoint", "auth_endpoint"];

/// `url` with its scheme, host and port alone; what else it has is `***`.
///
/// A socket of this host (`ipc:///path`) names a file, which is no secret.
#[must_use]
pub fn redacted(url: &str) -> String {
    if url.starts_with("ipc://") {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        // A key may have been put in the place of the URL; an address with its port is none.
        let port = url.strip_prefix("localhost:");
        let is_address = url.parse::<SocketAddr>().is_ok() || port.is_some_and(is_port);
        return if is_address { url } else { LEFT_OUT }.to_owned();
    };
    if !SCHEMES.contains(&scheme) {
        return LEFT_OUT.to_owned();
    }
    match host_of(url) {
        Some(host) if rest.trim_end_matches('/') == host => url.to_owned(),
        Some(host) => format!("{scheme}://{host}/{LEFT_OUT}"),
        None => format!("{scheme}://{LEFT_OUT}"),
    }
}

/// Host and port of a URL; `None` where it is not sure which part they are.
#[must_use]
pub fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (authority, after) = match rest.find(['/', '?', '#', '\\']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    // A password may hold a slash: then what looks like the host is part of it.
    if after.contains('@') {
        return None;
    }
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let fits = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => is_host(name) && is_port(port),
        _ => is_host(host),
    };
    fits.then_some(host)
}

/// A line of a configuration, or what a parser says of it, with every URL in it redacted.
pub(super) fn redacted_line(line: &str) -> String {
    if let Some((key, value)) = line.split_once('=')
        && let Some(name) = key.trim().rsplit('.').next()
        && URL_KEYS.contains(&name.trim_matches(is_quote))
    {
        let value = value.trim();
        let value = value.strip_prefix(is_quote).unwrap_or(value);
        let value = value.split(is_quote).next().unwrap_or_default();
        return format!("{key}= \"{}\"", redacted(value));
    }
    let (mut out, mut rest) = (String::new(), line);
    while let Some(at) = rest.find("://") {
        let is_before = |c: char| is_quote(c) || c.is_whitespace();
        let before = rest[..at].char_indices().rev();
        let begin = before.into_iter().find(|(_, c)| is_before(*c));
        let begin = begin.map_or(0, |(place, c)| place + c.len_utf8());
        let end = rest[at..].find(is_quote).map_or(rest.len(), |len| at + len);
        out.push_str(&rest[..begin]);
        out.push_str(&redacted(&rest[begin..end]));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\'' | '`')
}

/// A name, or an address, in the brackets that IPv6 has.
fn is_host(text: &str) -> bool {
    let (inner, more): (_, &[u8]) = match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(inner) => (inner, b"-.:%"),
        None => (text, b"-."),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
    !inner.is_empty() && inner.bytes().all(fits)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_is_asked_stays_and_the_rest_goes() {
        for (url, shown) in [
            ("http://127.0.0.1:8899", "http://127.0.0.1:8899"),
            ("http://127.0.0.1:8899/", "http://127.0.0.1:8899/"),
            (
                "https://node.example/?api-key=k",
                "https://node.example/***",
            ),
            ("https://node.example?api-key=k", "https://node.example/***"),
            ("http://[::1]:8899/k", "http://[::1]:8899/***"),
            ("http://[fe80::1%eth0]", "http://[fe80::1%eth0]"),
            ("http://u:k@node:1", "http://node:1/***"),
            ("http://u:k/k@node:1", "http://***"),
            ("http://node:k", "http://***"),
            ("http://k k", "http://***"),
            ("127.0.0.1:8899", "127.0.0.1:8899"),
            ("localhost:8899", "localhost:8899"),
            ("node:8899", "***"),
            ("key://node", "***"),
            ("node:8899/k", "***"),
            ("k", "***"),
            ("", "***"),
            (
                "ipc:///run/overmind/signal.ipc",
                "ipc:///run/overmind/signal.ipc",
            ),
        ] {
            assert_eq!(redacted(url), shown, "{url}");
        }
        for (line, shown) in [
            ("rpc = \"https://n/?k\"", "rpc = \"https://n/***\""),
            ("rpc = \"https://n/?k k", "rpc = \"https://n/***\""),
            ("venues.rpc = k", "venues.rpc = \"***\""),
            ("rpc=https://n/k # k", "rpc= \"https://n/***\""),
            (
                "a = ['http://n/k', 'http://m/k'] # x",
                "a = ['http://n/***', 'http://m/***'] # x",
            ),
            ("park_us = \"x\"", "park_us = \"x\""),
            ("{ rpc = 'x/k://n' }", "{ rpc = '***' }"),
            (
                "invalid type: string \"https://n/k\", expected u16",
                "invalid type: string \"https://n/***\", expected u16",
            ),
        ] {
            assert_eq!(redacted_line(line), shown, "{line}");
        }
    }

    /// Goal: a URL that was typed in the place of something else shows no key either.
    #[test]
    fn a_url_in_the_wrong_place_is_redacted() {
        let mut check = crate::config::check::Check::default();
        let typed = "\"https://node.example/?api-key=K3Y\"".to_owned();
        check.refuse(
            "ingest.leaders_file",
            typed,
            "is not an absolute path",
            String::new(),
        );
        let said = check.errors[0].to_string();
        assert!(
            said.contains("node.example") && !said.contains("K3Y"),
            "{said}"
        );
    }

    proptest! {
        /// Goal: wherever providers and people put a key, it is not shown.
        #[test]
        fn a_secret_is_never_shown(
            secret in "[A-Z0-9_+/=&%.-]{0,3}[A-Z]{8}[A-Z0-9_+/=&%@?#:.-]{0,9}", place in 0usize..9, host in "[a-z]{1,9}",
            port in 0u16..=u16::MAX, tls: bool,
        ) {
            let scheme = if tls { "https" } else { "http" };
            let at = format!("{host}:{port}");
            let url = match place {
                0 => format!("{scheme}://{at}/?api-key={secret}"),
                1 => format!("{scheme}://{at}?{secret}"),
                2 => format!("{scheme}://{at}/{secret}/"),
                3 => format!("{scheme}://{at}/v2/{secret}"),
                4 => format!("{scheme}://{at}/#{secret}"),
                5 => format!("{scheme}://{secret}:x@{at}"),
                6 => format!("{scheme}://user:{secret}@{at}/x"),
                7 => secret.clone(),
                _ => format!("{at}/{secret}"),
            };
            let key = secret.trim_matches(|c: char| !c.is_ascii_uppercase());
            for shown in [
                redacted(&url),
                redacted_line(&format!("rpc = \"{url}\"")),
                redacted_line(&format!("leaders_rpc = \"{url}")),
                redacted_line(&format!("endpoint = '{url}' # {host}")),
            ] {
                prop_assert!(!shown.contains(key), "{url}: {shown}");
            }
        }

        #[test]
        fn any_text_is_shown_somehow(text in ".{0,60}") {
            let _ = (redacted(&text), redacted_line(&text), host_of(&text));
        }
    }
}
