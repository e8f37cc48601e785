//! What became of bundles, as a stream that survives its connection.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Streaming;

use crate::client::SearcherClient;
use crate::error::ClientError;
use crate::proto::bundle::BundleResult;

/// One turn of the stream.
#[derive(Debug)]
pub enum ResultEvent {
    /// The engine has taken the subscription: results of bundles sent from now on will come.
    Subscribed,
    /// Something became of a bundle.
    Result(BundleResult),
    /// The stream broke, or could not be opened. Results of this gap never come; it is opened again.
    Interrupted(ClientError),
}

/// The results of one searcher's bundles, subscribed to again whenever the stream breaks.
///
/// Holds no queue: what is not read waits in the transport's window, which is bounded. The pause before
/// another attempt doubles from [`PAUSE_MIN`] to [`PAUSE_MAX`] and starts over after a result.
#[derive(Debug)]
pub struct BundleResults {
    client: SearcherClient,
    stream: Option<Streaming<BundleResult>>,
    pause: Duration,
    retry_at: Option<Instant>,
}

/// Pause before the first attempt after a break.
pub const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Longest pause between two attempts.
pub const PAUSE_MAX: Duration = Duration::from_secs(2);

impl BundleResults {
    pub(crate) fn new(client: SearcherClient) -> Self {
        Self {
            client,
            stream: None,
            pause: PAUSE_MIN,
            retry_at: None,
        }
    }

    /// Waits for the next turn. Never ends. Dropping the future loses no result, but a subscription that is
    /// being opened starts over: poll it from a task of its own, not from a busy `select!`.
    pub async fn next(&mut self) -> ResultEvent {
        if let Some(stream) = &mut self.stream {
            let error = match stream.message().await {
                Ok(Some(result)) => {
                    self.pause = PAUSE_MIN;
                    return ResultEvent::Result(result);
                }
                Ok(None) => ClientError::Unreachable {
                    message: "the engine closed the stream".to_owned(),
                },
                Err(status) => status.into(),
            };
            self.stream = None;
            return self.interrupted(error);
        }
        if let Some(retry_at) = self.retry_at {
            tokio::time::sleep_until(retry_at).await;
        }
        match self.client.subscribe().await {
            Ok(stream) => {
                self.stream = Some(stream);
                ResultEvent::Subscribed
            }
            Err(error) => self.interrupted(error),
        }
    }

    fn interrupted(&mut self, error: ClientError) -> ResultEvent {
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        ResultEvent::Interrupted(error)
    }
}
