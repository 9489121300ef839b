<#
.SYNOPSIS
    Which host names simple-acme renews here, with which certificates, and whether its task is there. Changes nothing.
.DESCRIPTION
    Run by ansible.windows.win_powershell. Reads simple-acme's own files, one *.renewal.json for each renewal, and
    hands out "host name/number of the site/thumbprint of the last certificate" only.
.PARAMETER Folder
    simple-acme's folder for one server, below its folder in ProgramData. Need not be there.
.PARAMETER TaskName
    Name of its task in the root folder of Task Scheduler.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $Folder,

    [Parameter(Mandatory = $true)]
    [string]
    $TaskName
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

# One text a pair: win_powershell hands nested objects out as text, from the third level on.
$renewed = @()
if (Test-Path -LiteralPath $Folder) {
    foreach ($file in @(Get-ChildItem -LiteralPath $Folder -Filter '*.renewal.json' -File)) {
        $document = Get-Content -LiteralPath $file.FullName -Raw -Encoding UTF8 | ConvertFrom-Json
        $source = $document.TargetPluginOptions
        # Other sources, such as a fixed list of names, have other properties: they are somebody else's.
        if ($null -eq $source.PSObject.Properties['IncludeHosts'] -or
            $null -eq $source.PSObject.Properties['IncludeSiteIds']) {
            continue
        }
        $thumbprint = ''
        foreach ($result in @($document.History | Where-Object { $_.Success })) {
            foreach ($order in @($result.OrderResults | Where-Object { $_.Success })) {
                $thumbprint = $order.Thumbprint
            }
        }
        foreach ($name in @($source.IncludeHosts)) {
            foreach ($site in @($source.IncludeSiteIds)) {
                $renewed += "$name/$site/$thumbprint"
            }
        }
    }
}

$task = Get-ScheduledTask -TaskPath '\' -ErrorAction SilentlyContinue | Where-Object { $_.TaskName -eq $TaskName }

$Ansible.Result = @{
    renewed = $renewed
    task = ($null -ne $task) -and ($task.State -ne 'Disabled')
}
