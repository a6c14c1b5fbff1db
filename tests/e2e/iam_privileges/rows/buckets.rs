//! Objects of the work bucket and of the bundle bucket.

use super::super::call::Call;
use super::super::table::*;

pub fn work_bucket(bucket: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (folder, read, write, delete) in FOLDERS {
        let at = || (bucket.to_owned(), object(folder));
        rows.push(row(format!("read {folder}"), read, Call::read(at())));
        rows.push(row(format!("write {folder}"), write, Call::write(at())));
        rows.push(row(format!("delete {folder}"), delete, Call::delete(at())));
    }
    // A role that records an end writes a report. The role that makes pages writes the page beside it, and may not
    // change reports.
    let page = (
        bucket.to_owned(),
        "reports/privileges/dev/core/module.html".to_owned(),
    );
    let write: Granted = &[UPDATE_METADATA, RECORD_DEPLOYMENT, END_EXECUTION, PUBLISH_REPORT];
    rows.push(row("write a page", write, Call::write(page)));
    // A build can't find out whether another build's folder exists.
    let missing = (bucket.to_owned(), "builds/privileges/missing".to_owned());
    rows.push(Row {
        answer: Some("NoSuchKey"),
        ..row(
            "read what is missing in builds",
            &[UPDATE_METADATA],
            Call::read(missing),
        )
    });
    let copied = (bucket.to_owned(), object("builds"));
    rows.push(Row {
        answer: Some("NoSuchUpload"),
        ..row(
            "give up a copy in parts",
            &[UPDATE_METADATA, DETECT_DRIFT, PREVIEW_MODULES],
            Call::abort(copied),
        )
    });
    // The readers of objects that may be missing: without this right S3 answers "access denied" instead.
    let list: Granted = &[
        ACQUIRE_LOCK,
        CHECK_MD5,
        MODULE_STACK,
        START_BUILD,
        CHECK_STATUS,
        UPDATE_METADATA,
        BUILD_EVENT,
        END_EXECUTION,
        PLAN_DEPLOYMENT,
        EVALUATE_POLICY,
        FETCH_SOURCES,
        RECORD_DEPLOYMENT,
        REQUEST_APPROVAL,
        APPROVE,
        PUBLISH_REPORT,
        DETECT_DRIFT,
        PREVIEW_MODULES,
    ];
    rows.push(row("list the work bucket", list, Call::list(bucket)));
    // The earlier records of a module, for a rollback.
    let records = Call::list_versions(bucket, "deployed");
    rows.push(row(
        "list versions of records",
        &[CHECK_MD5, PLAN_DEPLOYMENT],
        records,
    ));
    rows
}

pub fn bundle_bucket(bucket: &str) -> Vec<Row> {
    let at = || (bucket.to_owned(), "dev/core/privileges/bundle.zip".to_owned());
    let archive = (bucket.to_owned(), ARCHIVE.to_owned());
    vec![
        row("write a bundle", &[UPDATE_METADATA], Call::write(at())),
        row("read a bundle", &[UPDATE_METADATA], Call::read(at())),
        Row {
            answer: Some("NoSuchUpload"),
            ..row("give up a copy in parts", &[UPDATE_METADATA], Call::abort(at()))
        },
        row("delete a bundle", &[UPDATE_METADATA], Call::delete(at())),
        // A role that may not list the bucket can't find out that the object is missing.
        Row {
            answer: Some("NoSuchKey"),
            ..row("read a bundle that is gone", &[UPDATE_METADATA], Call::read(at()))
        },
        row("list the bundle bucket", &[UPDATE_METADATA], Call::list(bucket)),
        row(
            "read an archive of manifests",
            &[UPDATE_METADATA, FETCH_SOURCES],
            Call::read(archive),
        ),
    ]
}
