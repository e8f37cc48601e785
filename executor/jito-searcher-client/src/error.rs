//! What can go wrong between the caller and a block engine.

use jito_auth::{AuthError, EndpointError};
use tonic::{Code, Status};

use crate::encode::EncodeError;

/// Why a call failed. Slow path: carries text for a person.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The endpoint is not a URI of the form `http://host:port` or `https://host:port`.
    #[error("endpoint {endpoint:?} is not http(s)://host[:port]")]
    BadEndpoint {
        /// As it was given.
        endpoint: String,
    },
    /// The endpoint asks for TLS, which this build does not have.
    #[error("endpoint {endpoint:?} needs TLS: build jito-searcher-client with the feature `tls`")]
    TlsNotBuilt {
        /// As it was given.
        endpoint: String,
    },
    /// Plain text to another machine would show bundles to everyone on the way.
    #[error(
        "endpoint {endpoint:?} is plain text and not a loopback address: use https, or set plaintext_remote"
    )]
    PlaintextRefused {
        /// As it was given.
        endpoint: String,
    },
    /// The bundle cannot be put into a request.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// No connection, or it broke before the answer.
    #[error("block engine unreachable: {message}")]
    Unreachable {
        /// The transport's words.
        message: String,
    },
    /// No answer in time. Whether the call took effect is unknown.
    #[error("no answer in time: {message}")]
    Timeout {
        /// The transport's words.
        message: String,
    },
    /// Too many requests from this address (the default allowance is one per second, address and region).
    #[error("rate limited: {message}")]
    RateLimited {
        /// The engine's words.
        message: String,
    },
    /// The engine wants a token, or does not take ours.
    #[error("not authenticated: {message}")]
    Unauthenticated {
        /// The engine's words.
        message: String,
    },
    /// The engine understood the call and refuses it.
    #[error("refused: {message}")]
    Refused {
        /// The engine's words.
        message: String,
    },
    /// The bundle was sent before.
    #[error("sent before: {message}")]
    Duplicate {
        /// The engine's words.
        message: String,
    },
    /// An answer that does not follow the protocol, or any other status.
    #[error("{code:?}: {message}")]
    Protocol {
        /// gRPC status code.
        code: Code,
        /// The engine's words, or ours about its answer.
        message: String,
    },
}

impl ClientError {
    /// True when the call cannot have taken effect, so that the same bytes may go out again at once.
    pub fn is_certain(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Protocol { .. }
        )
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::Protocol {
            code: Code::Internal,
            message: message.into(),
        }
    }
}

impl From<EndpointError> for ClientError {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::Bad { endpoint } => Self::BadEndpoint { endpoint },
            EndpointError::TlsNotBuilt { endpoint } => Self::TlsNotBuilt { endpoint },
            EndpointError::PlaintextRefused { endpoint } => Self::PlaintextRefused { endpoint },
        }
    }
}

impl From<AuthError> for ClientError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Status(status) => status.into(),
            AuthError::Protocol(words) => Self::protocol(words),
        }
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let (code, message) = (status.code(), describe(&status));
        match code {
            Code::Unavailable => Self::Unreachable { message },
            Code::DeadlineExceeded | Code::Cancelled => Self::Timeout { message },
            Code::ResourceExhausted => Self::RateLimited { message },
            Code::Unauthenticated => Self::Unauthenticated { message },
            Code::AlreadyExists => Self::Duplicate { message },
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::OutOfRange => Self::Refused { message },
            // A connection that dies under a call surfaces as `Unknown` with the transport's error below it.
            Code::Unknown if std::error::Error::source(&status).is_some() => {
                Self::Unreachable { message }
            }
            _ => Self::Protocol { code, message },
        }
    }
}

/// The engine's words, bounded, with the innermost cause when the transport made the status.
fn describe(status: &Status) -> String {
    let mut cause = std::error::Error::source(status);
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    let text = match cause {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    };
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// An engine's words are untrusted and end up in logs.
const MESSAGE_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_meaning() {
        let of = |code| ClientError::from(Status::new(code, "words"));
        assert!(matches!(
            of(Code::Unavailable),
            ClientError::Unreachable { .. }
        ));
        assert!(matches!(
            of(Code::DeadlineExceeded),
            ClientError::Timeout { .. }
        ));
        assert!(matches!(
            of(Code::ResourceExhausted),
            ClientError::RateLimited { .. }
        ));
        assert!(matches!(
            of(Code::Unauthenticated),
            ClientError::Unauthenticated { .. }
        ));
        assert!(matches!(
            of(Code::AlreadyExists),
            ClientError::Duplicate { .. }
        ));
        assert!(matches!(
            of(Code::InvalidArgument),
            ClientError::Refused { .. }
        ));
        assert!(matches!(
            of(Code::Internal),
            ClientError::Protocol {
                code: Code::Internal,
                ..
            }
        ));
    }

    #[test]
    fn only_an_answer_is_certain() {
        assert!(ClientError::from(Status::invalid_argument("")).is_certain());
        assert!(!ClientError::from(Status::unavailable("")).is_certain());
        assert!(!ClientError::from(Status::deadline_exceeded("")).is_certain());
    }

    #[test]
    fn words_are_bounded() {
        let ClientError::Refused { message } = Status::invalid_argument("x".repeat(5_000)).into()
        else {
            panic!("not refused");
        };
        assert_eq!(message.len(), MESSAGE_CHARS_MAX);
    }
}
