# What destroys something, or goes into the production account, needs an approval. Files without a commit are only warned of.
package seedflow

production := "111111111111"

require_approval contains "it destroys modules" if input.counts.destroy > 0

require_approval contains message if {
	some module in input.modules
	module.action == "deploy"
	module.definition.target.account == production
	message := sprintf("%s/%s goes into production", [module.group, module.module])
}

warn contains "nobody knows the commit of these files" if not input.origin.commit
