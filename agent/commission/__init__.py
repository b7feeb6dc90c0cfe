"""What an installer's tools do: prove profiles, look at lines, carry point tables across."""
