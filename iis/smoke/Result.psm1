<#
.SYNOPSIS
    One line of the smoke test's result.
#>
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

function ConvertTo-Result {
    param([string]$Part, [string]$Check, $Found, [string]$Expected, [string]$Outcome)

    return [pscustomobject]@{
        part = $Part
        check = $Check
        outcome = $Outcome
        found = [string]$Found
        expected = $Expected
    }
}

function Compare-Result {
    param([string]$Part, [string]$Check, $Found, [string]$Expected, [string]$Pattern)

    $outcome = 'fail'
    if ([string]$Found -match $Pattern) {
        $outcome = 'pass'
    }
    return ConvertTo-Result -Part $Part -Check $Check -Found $Found -Expected $Expected -Outcome $outcome
}

Export-ModuleMember -Function @('ConvertTo-Result', 'Compare-Result')
