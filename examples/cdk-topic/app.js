// One topic. The stack has the name under which Seedflow looks for a module's outputs, and one output of it, `metadata`, is
// what `seedfarmer metadata convert` looks for: a text that holds a JSON object.

const cdk = require("aws-cdk-lib");
const sns = require("aws-cdk-lib/aws-sns");

const { SEEDFARMER_PROJECT_NAME, SEEDFARMER_DEPLOYMENT_NAME, SEEDFARMER_MODULE_NAME } = process.env;
const name = [SEEDFARMER_PROJECT_NAME, SEEDFARMER_DEPLOYMENT_NAME, SEEDFARMER_MODULE_NAME].join("-");

const app = new cdk.App();
const stack = new cdk.Stack(app, name, {
  description: "A topic, by CDK.",
  env: { account: process.env.CDK_DEFAULT_ACCOUNT, region: process.env.CDK_DEFAULT_REGION },
  // Without assets nothing needs the bucket and the roles of `cdk bootstrap`: the build's own rights deploy it.
  synthesizer: new cdk.BootstraplessSynthesizer(),
});

const topic = new sns.Topic(stack, "Topic", {
  displayName: process.env.SEEDFARMER_PARAMETER_DISPLAY_NAME ?? "A topic of Seedflow's",
  enforceSSL: true,
});

new cdk.CfnOutput(stack, "TopicArn", { value: topic.topicArn });
new cdk.CfnOutput(stack, "metadata", {
  value: stack.toJsonString({ TopicArn: topic.topicArn, TopicName: topic.topicName }),
});
