<#
.SYNOPSIS
    What ComfyStack assumes of a Windows host, asked of a real one: a line each, pass, fail or not applicable.
.DESCRIPTION
    Run once by an administrator, after a deployment, in Windows PowerShell 5.1; docs/real-windows.md says how. It
    reads only: no setting is written, no service, site or guest is started. Its requests go to 127.0.0.1.
    Ends with 0 where nothing failed, and with 1 otherwise.
.PARAMETER Name
    The public names, as the inventory has them.
.PARAMETER TokenFile
    A file with one valid token. Without it, what stands behind the edge's door is not applicable.
.PARAMETER Json
    The results as JSON, for a report.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [ValidatePattern('^[a-z0-9.-]+$')]
    [string[]]
    $Name,

    [string]
    $TokenFile = '',

    [string]
    $Distribution = 'Ubuntu',

    [string]
    $Container = 'comfyui-qwen',

    [switch]
    $Json
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$env:WSL_UTF8 = '1'

Import-Module -Name @('WebAdministration', 'IISAdministration')
foreach ($module in @('Result', 'Server', 'Site', 'Guest')) {
    Import-Module -Name (Join-Path -Path $PSScriptRoot -ChildPath "$module.psm1")
}
function Get-PartResult {
    param([string]$Part)

    switch ($Part) {
        'platform' { Get-PlatformResult }
        'server' { Get-ServerResult }
        'guest' { Get-GuestResult -Distribution $Distribution -Container $Container }
        default {
            Get-SiteResult -PublicName $Part
            Get-AnswerResult -PublicName $Part
            Get-SocketResult -PublicName $Part -TokenFile $TokenFile
        }
    }
}

$results = New-Object -TypeName System.Collections.Generic.List[object]
foreach ($part in @('platform', 'server', 'guest') + $Name) {
    try {
        # One by one: what was seen before an error is kept.
        Get-PartResult -Part $part | ForEach-Object { $results.Add($_) }
    }
    catch {
        $why = @{ Part = $part; Check = 'could be asked to the end'; Found = $_; Outcome = 'fail' }
        $results.Add((ConvertTo-Result @why))
    }
}

if ($Json) {
    ConvertTo-Json -InputObject $results -Depth 3
}
else {
    foreach ($result in $results) {
        '{0,-14} {1,-12} {2}' -f $result.outcome, $result.part, $result.check
        if ($result.outcome -eq 'fail') {
            "{0,-14} found: {1}`r`n{0,-14} expected: {2}" -f '', $result.found, $result.expected
        }
    }
}
exit [int](@($results | Where-Object { $_.outcome -eq 'fail' }).Count -gt 0)
