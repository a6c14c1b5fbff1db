//! Names of files that people mistake for each other.

/// The first of these names that someone may have meant as the file `name`: another extension for YAML, other upper case,
/// or other separators.
#[must_use]
pub(crate) fn near_miss<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| {
        let mut plain = name.to_lowercase();
        while let Some((stem, "yaml" | "yml" | "json" | "txt")) = plain.rsplit_once('.') {
            plain = stem.to_owned();
        }
        plain.replace(['-', '_', ' '], "")
    };
    let meant = plain(name);
    let mut similar = names.filter(|other| *other != name && !other.contains('/') && plain(other) == meant);
    similar.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_extension_case_or_separator_is_a_near_miss() {
        for other in [
            "deployment.yml",
            "Deployment.yaml",
            "DEPLOYMENT.YAML",
            "deployment.yaml.txt",
            "deploy-ment.json",
        ] {
            let names = ["README.md", "deployment.yaml", "sub/deployment.yml", other];
            assert_eq!(near_miss("deployment.yaml", names.into_iter()), Some(other));
        }
        assert_eq!(
            near_miss("deployment.yaml", ["deployments.yaml", "prod.yaml"].into_iter()),
            None
        );
    }
}
