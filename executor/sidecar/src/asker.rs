//! One question after another to an RPC node, for a thread that waits for each answer.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::rpc::{Bounds, Endpoint, RpcError, call};

/// Longest answer that is read: a hundred accounts of 10 KiB each in base64.
const ANSWER_LEN_MAX: usize = 2 << 20;

/// Asks one node. Not for a thread that anybody waits for: an answer may take as long as the limit.
#[derive(Debug)]
pub struct Asker {
    endpoint: Endpoint,
    limit: Duration,
    runtime: Option<Runtime>,
    ended: watch::Receiver<bool>,
}

/// Ends the questions of an [`Asker`], the one that is under way too. Dropping it does the same.
#[derive(Debug)]
pub struct AskerEnd(watch::Sender<bool>);

impl AskerEnd {
    /// From now on every question is [`RpcError::Ended`].
    pub fn end(&self) {
        self.0.send_replace(true);
    }
}

/// An asker of `endpoint` that waits no longer than `limit` for one answer, and what ends it.
///
/// # Errors
/// When there is no runtime to be had.
pub fn asker(endpoint: Endpoint, limit: Duration) -> io::Result<(Asker, AskerEnd)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (end, ended) = watch::channel(false);
    let asker = Asker {
        endpoint,
        limit,
        runtime: Some(runtime),
        ended,
    };
    Ok((asker, AskerEnd(end)))
}

impl Asker {
    /// Whom it asks.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The `result` member of the answer to `method`; `None` when it is null.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn ask(&mut self, method: &str, params: Value) -> Result<Option<Value>, RpcError> {
        let Self {
            endpoint,
            limit,
            runtime,
            ended,
        } = self;
        let runtime = runtime.as_ref().ok_or(RpcError::Ended)?;
        let bounds = Bounds {
            time: *limit,
            len: ANSWER_LEN_MAX,
        };
        runtime.block_on(async {
            tokio::select! {
                biased;
                // An error is a sender that is gone, which ends it as well.
                _ = ended.wait_for(|ended| *ended) => Err(RpcError::Ended),
                answer = call(endpoint, method, params, bounds) => answer,
            }
        })
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        // A look-up of a name that nobody answers blocks a thread of the runtime; nobody waits for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    /// Goal: neither a node that says nothing nor one that is not there holds up whoever ends it.
    #[test]
    fn an_end_ends_the_question_under_way_and_all_that_follow() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!("http://{}", silent.local_addr().unwrap());
        let hours = Duration::from_secs(36_000);
        let (mut asker, end) = asker(Endpoint::parse(&text).unwrap(), hours).unwrap();
        let asking = std::thread::spawn(move || {
            let first = asker.ask("getHealth", Value::Null);
            (first, asker.ask("getHealth", Value::Null))
        });
        // It has connected: its question is under way.
        let _connection = silent.accept().unwrap();
        end.end();
        let (first, second) = asking.join().unwrap();
        assert!(matches!(first, Err(RpcError::Ended)), "{first:?}");
        assert!(matches!(second, Err(RpcError::Ended)), "{second:?}");
    }
}
