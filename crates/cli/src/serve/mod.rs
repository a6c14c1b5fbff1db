//! The pages on loopback, read from the work bucket with the caller's credentials.
//!
//! Only pages and reports are served, only for reading, and only below a folder with a random name, which other users of this
//! machine can't guess. The links between pages are relative, so they stay in that folder. A request with another host's name
//! is refused: a page of the internet whose name leads to 127.0.0.1 would send one.

mod request;

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use seedflow_aws::services::s3::Bucket;
use seedflow_core::ids::Name;
use seedflow_core::pages::POLICY;
use seedflow_core::storage_layout::index_key;
use tokio::net::TcpListener;

use request::{Wanted, wanted};

/// The longest page.
const MAX_PAGE: u64 = 16 * 1024 * 1024;

/// A server of pages.
#[derive(Debug)]
pub struct Pages {
    listener: TcpListener,
    site: Site,
}

#[derive(Debug, Clone)]
struct Site {
    bucket: Bucket,
    project: Name,
    address: SocketAddr,
    folder: String,
}

impl Pages {
    /// Listens on loopback; port 0 is any free one.
    pub async fn listen(bucket: Bucket, project: Name, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener =
            listener.with_context(|| format!("can't listen on 127.0.0.1:{port}; name another --port"))?;
        let address = listener.local_addr()?;
        let folder = uuid::Uuid::new_v4().simple().to_string();
        let site = Site {
            bucket,
            project,
            address,
            folder,
        };
        Ok(Self { listener, site })
    }

    /// The address of the project's index.
    #[must_use]
    pub fn address(&self) -> String {
        let Site {
            address,
            folder,
            project,
            ..
        } = &self.site;
        format!("http://{address}/{folder}/{}", index_key(project))
    }

    /// Answers requests for ever.
    pub async fn serve(self) -> Result<()> {
        loop {
            let (connection, _) = self.listener.accept().await?;
            let site = self.site.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request| {
                    let site = site.clone();
                    async move { Ok::<_, Infallible>(site.answer(&request).await) }
                });
                // A browser that closes the connection early is none of our business.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(connection), answer)
                    .await;
            });
        }
    }
}

impl Site {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let path = request.uri().path();
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        match wanted(host, self.address.port(), is_read, path, &self.folder) {
            Wanted::Page(key) => self.page(&key).await,
            Wanted::Index => redirect(&format!("/{}/{}", self.folder, index_key(&self.project))),
            Wanted::WrongHost => text(
                StatusCode::MISDIRECTED_REQUEST,
                "This is not the server of that host.",
            ),
            Wanted::WrongMethod => {
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Pages can only be read.");
                answer
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                answer
            }
            Wanted::Nothing => text(StatusCode::NOT_FOUND, "The page does not exist."),
        }
    }

    async fn page(&self, key: &str) -> Response<Full<Bytes>> {
        match self.bucket.get(key, MAX_PAGE).await {
            Ok(Some((bytes, _))) => found(key, bytes),
            Ok(None) => text(
                StatusCode::NOT_FOUND,
                "The page does not exist. A page comes some ten seconds after the end of its execution, and is kept for 400 days.",
            ),
            Err(error) => text(StatusCode::BAD_GATEWAY, &error.message),
        }
    }
}

fn found(key: &str, bytes: Vec<u8>) -> Response<Full<Bytes>> {
    let kind = match key.ends_with(".html") {
        true => "text/html; charset=utf-8",
        false => "application/json",
    };
    with_headers(StatusCode::OK, kind, bytes, POLICY)
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    with_headers(
        status,
        "text/plain; charset=utf-8",
        format!("{text}\n").into_bytes(),
        "default-src 'none'",
    )
}

fn redirect(to: &str) -> Response<Full<Bytes>> {
    let mut answer = text(StatusCode::FOUND, to);
    if let Ok(to) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}

fn with_headers(
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
    policy: &'static str,
) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, policy),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
