//! Archives in S3: the objects that an address names.

use percent_encoding::percent_decode_str;

use crate::url::RemoteUrl;

/// An object of S3, by an address without a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Object {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The bucket's region; `None` if the address does not say it.
    pub region: Option<String>,
}

impl S3Object {
    /// The object of an address, if it is one of S3 and has no query, which may be a signature. Both forms count:
    /// `https://bucket.s3.region.amazonaws.com/key` and `https://s3.region.amazonaws.com/bucket/key` (S3 user guide,
    /// "Methods for accessing a bucket").
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let url = RemoteUrl::parse(address).ok()?;
        if url.uri().query().is_some() {
            return None;
        }
        let host = url.host();
        let host = host
            .strip_suffix(".amazonaws.com")
            .or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
        let path = url.uri().path().strip_prefix('/')?;
        let (bucket, service, path) = match host.rfind(".s3") {
            Some(at) => (&host[..at], &host[at + 1..], path),
            None => {
                let (bucket, key) = path.split_once('/')?;
                (bucket, host, key)
            }
        };
        // s3, s3.eu-west-1, or s3-eu-west-1 as in old addresses.
        let region = match service.strip_prefix("s3")? {
            "" => None,
            region => Some(region.strip_prefix(['.', '-'])?),
        };
        let key = percent_decode_str(path).decode_utf8().ok()?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self {
            bucket: bucket.to_owned(),
            key: key.into_owned(),
            region: region.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_s3_names_a_bucket_a_key_and_perhaps_a_region() {
        for (address, expected) in [
            ("https://b.s3.amazonaws.com/a/m.zip", Some(("b", "a/m.zip", None))),
            (
                "https://b.s3.eu-west-1.amazonaws.com/m.zip",
                Some(("b", "m.zip", Some("eu-west-1"))),
            ),
            (
                "https://b.c.s3.cn-north-1.amazonaws.com.cn/m.zip",
                Some(("b.c", "m.zip", Some("cn-north-1"))),
            ),
            (
                "https://s3.eu-west-1.amazonaws.com/b/a/m%20n.zip",
                Some(("b", "a/m n.zip", Some("eu-west-1"))),
            ),
            (
                "https://s3-eu-west-1.amazonaws.com/b/m.zip",
                Some(("b", "m.zip", Some("eu-west-1"))),
            ),
            // Its signature is the permission already.
            ("https://b.s3.amazonaws.com/m.zip?X-Amz-Signature=s", None),
            ("https://b.s3.amazonaws.com/", None),
            ("https://s3.amazonaws.com/b", None),
            ("https://lambda.eu-west-1.amazonaws.com/b/m.zip", None),
            ("https://b.s3.amazonaws.com.example/m.zip", None),
            ("https://git.example/b/m.zip", None),
        ] {
            let found = S3Object::of(address);
            let found = found
                .as_ref()
                .map(|o| (o.bucket.as_str(), o.key.as_str(), o.region.as_deref()));
            assert_eq!(found, expected, "{address}");
        }
    }
}
