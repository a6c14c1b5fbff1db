#!/usr/bin/env python3
"""Keeps one comment of a pull request on GitHub, or of a merge request on GitLab, and replaces its text each time.

usage: comment.py open|merged FILE

`open` is the request that this run is of, `merged` the one whose merge made this run's commit. Without such a request nothing
is written. The comment begins with a hidden mark and is of the token's own user, so nobody else's is taken for it.

variable                                     is
SEEDFLOW_NAME                                distinguishes several comments of one request, for example a deployment
GITHUB_TOKEN, SEEDFLOW_GITHUB_USER           the token, and whose comments it makes (github-actions[bot])
SEEDFLOW_GITHUB_NUMBER, SEEDFLOW_COMMIT      the number of the pull request, and its newest commit
GITHUB_API_URL, GITHUB_REPOSITORY, …         set by GitHub Actions
SEEDFLOW_GITLAB_TOKEN                        a project access token with the scope api
CI_API_V4_URL, CI_PROJECT_ID, …              set by GitLab CI
"""

import json
import os
import sys
import urllib.error
import urllib.request

# GitHub takes 65,536 characters, GitLab more.
LONGEST = 60_000
A_PAGE = 100
SECONDS = 60


class GitHub:
    """GitHub REST API, "Issue comments" and "List pull requests associated with a commit"."""

    def __init__(self, variables):
        self.variables = variables
        self.api = f"{variables['GITHUB_API_URL']}/repos/{variables['GITHUB_REPOSITORY']}"
        self.headers = {"authorization": f"Bearer {variables['GITHUB_TOKEN']}", "accept": "application/vnd.github+json"}
        self.commit = variables.get("SEEDFLOW_COMMIT") or variables["GITHUB_SHA"]

    def open(self):
        return self.variables.get("SEEDFLOW_GITHUB_NUMBER")

    def merged(self):
        found = call(self, "GET", f"/commits/{self.commit}/pulls")
        return next((one["number"] for one in found if one["merged_at"]), None)

    def comments(self, number):
        return f"/issues/{number}/comments"

    def replace(self, number, comment, body):
        return call(self, "PATCH", f"/issues/comments/{comment}", body)

    def is_own(self, comment):
        return comment["user"]["login"] == self.variables.get("SEEDFLOW_GITHUB_USER", "github-actions[bot]")

    def log(self):
        return "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format(**self.variables)


class GitLab:
    """GitLab REST API, "Notes" and "List merge requests associated with a commit"."""

    def __init__(self, variables):
        self.variables = variables
        self.api = f"{variables['CI_API_V4_URL']}/projects/{variables['CI_PROJECT_ID']}"
        self.headers = {"private-token": variables["SEEDFLOW_GITLAB_TOKEN"]}
        self.commit = variables["CI_COMMIT_SHA"]
        self.user = None

    def open(self):
        return self.variables.get("CI_MERGE_REQUEST_IID")

    def merged(self):
        found = call(self, "GET", f"/repository/commits/{self.commit}/merge_requests")
        return next((one["iid"] for one in found if one["state"] == "merged"), None)

    def comments(self, number):
        return f"/merge_requests/{number}/notes"

    def replace(self, number, comment, body):
        return call(self, "PUT", f"{self.comments(number)}/{comment}", body)

    def is_own(self, comment):
        # A project access token is a user of its own.
        self.user = self.user or request("GET", f"{self.variables['CI_API_V4_URL']}/user", self.headers)["username"]
        return comment["author"]["username"] == self.user

    def log(self):
        return self.variables["CI_JOB_URL"]


def call(host, method, path, body=None):
    return request(method, host.api + path, host.headers, body)


def request(method, url, headers, body=None):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {**headers, "content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"error: {method} {url} answered {error.code}: {error.read().decode(errors='replace')[:500]}")
    except urllib.error.URLError as error:
        sys.exit(f"error: {method} {url}: {error.reason}")


def own_comment(host, number, mark):
    page = 1
    while True:
        found = call(host, "GET", f"{host.comments(number)}?per_page={A_PAGE}&page={page}")
        for comment in found:
            if comment["body"].startswith(mark) and host.is_own(comment):
                return comment["id"]
        if len(found) < A_PAGE:
            return None
        page += 1


def text_of(host, mark, text):
    if len(text) > LONGEST:
        text = text[:LONGEST] + "\n\n(cut: the log has all of it)\n"
    return f"{mark}\n{text}\n[log]({host.log()}) of {host.commit}\n"


def main():
    which, path = sys.argv[1:]
    host = (GitHub if "GITHUB_REPOSITORY" in os.environ else GitLab)(os.environ)
    number = host.open() if which == "open" else host.merged()
    if not number:
        print("no comment: this run is of no pull request")
        return
    mark = f"<!-- seedflow {os.environ.get('SEEDFLOW_NAME', '')} -->"
    with open(path, encoding="utf-8", errors="replace") as file:
        body = {"body": text_of(host, mark, file.read())}
    known = own_comment(host, number, mark)
    if known is None:
        call(host, "POST", host.comments(number), body)
    else:
        host.replace(number, known, body)
    print(f"comment of request {number}: {'made' if known is None else 'replaced'}")


main()
