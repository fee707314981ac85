"""Personal data: found and masked, and secrets of our own planted to ask a model for.

mask        the step
patterns    the forms of each kind                  addresses      postal addresses
checks      check digits and rules of issue         canaries       planted behind the chain
"""
