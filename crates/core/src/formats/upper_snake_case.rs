//! The environment variable of a parameter: seed-farmer's "upper snake case" of its name.
//!
//! The algorithm is that of pyhumps, which seed-farmer uses, including its surprises (`dbURLs` becomes `DB_UR_LS`): modules
//! were written against its results (seedfarmer-compat.md 2.4).

/// The variable name of a parameter, without prefix.
#[must_use]
pub fn upper_snake_case(name: &str) -> String {
    if is_upper(name) || (!name.is_empty() && name.chars().all(|c| c.is_ascii_digit())) {
        return name.to_owned();
    }
    if has_inner_separator(name) || name.contains(char::is_whitespace) {
        return name.replace('-', "_").to_uppercase();
    }
    separate_words(&shrink_acronyms(name)).to_uppercase()
}

/// Python's `str.isupper`: at least one cased letter, and none in lower case.
fn is_upper(name: &str) -> bool {
    name.contains(char::is_uppercase) && !name.contains(char::is_lowercase)
}

fn has_inner_separator(name: &str) -> bool {
    let chars: Vec<char> = name.chars().collect();
    let separator = |c: char| c == '-' || c == '_';
    let text_at = |range: &[char]| range.iter().any(|&c| !separator(c));
    (0..chars.len()).any(|i| separator(chars[i]) && text_at(&chars[..i]) && text_at(&chars[i + 1..]))
}

/// `dbURL` → `dbUrl`, `APIKey` → `ApiKey`: a run of capitals and digits keeps its first capital. It also keeps its last
/// character, if that begins the next word.
fn shrink_acronyms(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let in_run = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        let end = (at..chars.len())
            .find(|&i| !in_run(chars[i]))
            .unwrap_or(chars.len());
        let run = &chars[at..end];
        match run.len() {
            0 => {
                out.push(chars[at]);
                at += 1;
                continue;
            }
            _ if end == chars.len() => out.push_str(&title(run)),
            1 => out.push(run[0]),
            n => {
                out.push_str(&title(&run[..n - 1]));
                out.push(run[n - 1]);
            }
        }
        at = end;
    }
    out
}

/// Python's `str.title` for capitals and digits: the first letter of each run of letters stays upper case.
fn title(run: &[char]) -> String {
    let mut previous_is_letter = false;
    run.iter()
        .map(|&c| {
            let lower = previous_is_letter;
            previous_is_letter = c.is_ascii_alphabetic();
            if lower { c.to_ascii_lowercase() } else { c }
        })
        .collect()
}

/// Inserts an underscore before each capital that follows something other than separators.
fn separate_words(name: &str) -> String {
    let mut out = String::new();
    let mut seen_text = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && seen_text {
            out.push('_');
        }
        seen_text |= c != '-' && c != '_';
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_the_compatibility_page() {
        for (names, expected) in [
            ("vpc-id vpcId VpcId vpc_id vpcID", "VPC_ID"),
            ("VPC-ID", "VPC-ID"),
            ("some-Complex_Name", "SOME_COMPLEX_NAME"),
            ("vpc-cidrBlock", "VPC_CIDRBLOCK"),
            ("data_bucketName", "DATA_BUCKETNAME"),
            ("camelCase_mixed", "CAMELCASE_MIXED"),
            ("privateSubnetIds", "PRIVATE_SUBNET_IDS"),
            ("privateSubnetIDs", "PRIVATE_SUBNET_I_DS"),
            ("dbURL", "DB_URL"),
            ("dbURLs", "DB_UR_LS"),
            ("APIKey apiKey", "API_KEY"),
            ("OIDCArn", "OIDC_ARN"),
            ("s3Bucket s3-bucket S3Bucket", "S3_BUCKET"),
            ("S3", "S3"),
            ("ec2InstanceType", "EC2_INSTANCE_TYPE"),
            ("ipv4CIDR", "IPV4_CIDR"),
            ("eksVersion1", "EKS_VERSION1"),
            ("fooBar12Baz", "FOO_BAR12_BAZ"),
            ("HTTPServer2Name", "HTTP_SERVER2_NAME"),
            ("MyDB2Name", "MY_DB2_NAME"),
            ("subnet1Id", "SUBNET1_ID"),
            ("az1", "AZ1"),
            ("data-bucket-1", "DATA_BUCKET_1"),
            ("x2Y", "X2_Y"),
            ("fooBAR1", "FOO_BAR1"),
            ("nodeJS18", "NODE_JS18"),
            ("foo--bar", "FOO__BAR"),
            ("vpc.id", "VPC.ID"),
        ] {
            for name in names.split(' ') {
                assert_eq!(upper_snake_case(name), expected, "{name}");
            }
        }
    }
}
